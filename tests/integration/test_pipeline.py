"""The steps from records to a version in production, on a real Postgres and a real MLflow."""

import csv
import random
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import mlflow
import pytest
from sqlalchemy import Engine, text

from modelyard.catalog import find_use_case
from modelyard.contract import Limits
from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput, NothingToWorkOn, Refused, ServiceUnavailable, StepFailed
from modelyard.settings import Settings
from modelyard.steps.compare import CompareResult, compare
from modelyard.steps.deploy import deploy
from modelyard.steps.load import load
from modelyard.steps.preprocess import preprocess
from modelyard.steps.promote import PromoteResult, promote, rollback
from modelyard.steps.prune import prune
from modelyard.steps.stores import Platform, connected
from modelyard.steps.train import TrainResult, train
from modelyard.stores.registry import CHALLENGER, PRODUCTION
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import Candidate, Gate, Profile, UseCase
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import running_api, wait_until

RECORDS = Path(__file__).parents[2] / "data" / "loan_approval.csv"
ROWS = 2000
TODAY = date(2026, 11, 20)


@pytest.fixture
def use_case() -> UseCase:
    """Loan approval under a name of its own, with its fastest candidate."""
    loans = find_use_case("loan_approval")
    name = f"loans_{uuid.uuid4().hex[:8]}"
    return loans.model_copy(update={"name": name, "candidates": loans.candidates[:1]})


@pytest.fixture
def platform(empty_postgres: Postgres, tracking_uri: str, home: Path) -> Iterator[Platform]:
    settings = Settings(_env_file=None, modelyard_home=home, api_heartbeat_fresh_seconds=60, deploy_timeout_seconds=2)
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write(tmp_path / "loans.csv", rows(ROWS))


def rows(count: int) -> list[list[str]]:
    with RECORDS.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[: count + 1]


def write(path: Path, lines: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def shuffled(path: Path) -> Path:
    header, *lines = rows(ROWS)
    targets = [line[-1] for line in lines]
    random.Random(5).shuffle(targets)
    return write(path, [header, *([*line[:-1], target] for line, target in zip(lines, targets, strict=True))])


def train_all(
    use_case: UseCase, platform: Platform, records: Path, run: str, day: date = TODAY
) -> tuple[list[TrainResult], CompareResult]:
    keep(platform, run, use_case, "load", load(use_case, str(records), platform.raw, 0.05))
    keep(platform, run, use_case, "preprocess", preprocess(use_case, platform.raw, platform.clean))
    trained = []
    for candidate in use_case.candidates:
        trained.append(train(use_case, candidate.name, platform, run, day))
        keep(platform, run, use_case, "train", trained[-1], candidate.name)
    compared = compare(use_case, platform, run)
    keep(platform, run, use_case, "compare", compared)
    return trained, compared


def keep(platform: Platform, run: str, use_case: UseCase, step: str, result: Any, part: str = "") -> None:
    platform.results.keep(run, use_case.name, step, result, 0.1, part)


def loop(use_case: UseCase, platform: Platform, records: Path, run: str = "first") -> PromoteResult:
    train_all(use_case, platform, records, run)
    return promote(use_case, platform, unattended=True)


def verdicts(use_case: UseCase, platform: Platform) -> list[Any]:
    kept = text("select * from gate_verdicts where use_case = :use_case order by verdict_id")
    with platform.raw.engine.connect() as connection:
        return list(connection.execute(kept, {"use_case": use_case.name}))


def test_a_good_model_goes_into_production(use_case: UseCase, platform: Platform, records: Path) -> None:
    result = loop(use_case, platform, records)
    assert result.verdict is Verdict.PROMOTED, result.reasons
    assert result.metrics["roc_auc"] > result.baseline["roc_auc"] == 0.5
    assert platform.registry.in_production()[use_case.name] == result.version == 1
    assert platform.registry.aliased(use_case.name, CHALLENGER) is None
    assert platform.registry.version(use_case.name, 1).tags["stage"] == "Production"
    [kept] = verdicts(use_case, platform)
    assert (kept.verdict, kept.model_version, kept.previous_version) == (Verdict.PROMOTED, 1, None)
    assert deploy(use_case, platform).message.startswith("no API runs")


def test_the_second_time_nothing_is_done_again(use_case: UseCase, platform: Platform, records: Path) -> None:
    loop(use_case, platform, records)
    [trained], compared = train_all(use_case, platform, records, "second")
    assert not trained.trained
    assert not compared.registered
    assert compared.in_production
    assert promote(use_case, platform, unattended=True).verdict is Verdict.UNCHANGED
    assert len(platform.registry.versions(use_case.name)) == 1


def test_the_validation_part_chooses_and_the_test_part_does_not(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    [first] = use_case.candidates
    second = first.model_copy(update={"name": "second", "parameters": {"max_iter": 1000, "C": 0.5}})
    two = use_case.model_copy(update={"candidates": (first, second)})
    trained, _ = train_all(two, platform, records, "first")
    for result, validation, test in zip(trained, (0.7, 0.8), (0.9, 0.6), strict=True):
        measured = {"validation": {"roc_auc": validation}, "test": {"roc_auc": test}}
        keep(platform, "judged", two, "train", result.model_copy(update=measured), result.candidate)
    assert compare(two, platform, "judged").candidate == "second"


def test_a_deleted_run_is_trained_again(use_case: UseCase, platform: Platform, records: Path) -> None:
    [first], _ = train_all(use_case, platform, records, "first")
    mlflow.MlflowClient().delete_run(first.run_id)
    [second], _ = train_all(use_case, platform, records, "second")
    assert second.trained
    assert second.test == first.test


def test_a_version_carries_all_it_needs(
    use_case: UseCase, platform: Platform, records: Path, tmp_path: Path, tracking_uri: str
) -> None:
    [trained], compared = train_all(use_case, platform, records, "first")
    mlflow.set_tracking_uri(tracking_uri)
    address = f"models:/{use_case.name}/{compared.version}"
    folder = Path(mlflow.artifacts.download_artifacts(address, dst_path=str(tmp_path / "model")))
    assert {"contract.json", "model.onnx", "example.json", "model.skops"} <= {file.name for file in folder.iterdir()}
    frame = platform.clean.frame(use_case, trained.snapshot_id, "test")
    model = mlflow.sklearn.load_model(address)
    assert set(model.predict(frame[use_case.contract().names])) == {0, 1}
    run = mlflow.get_run(trained.run_id)
    assert run.data.tags["snapshot_id"] == trained.snapshot_id
    assert run.data.tags["git_revision"]
    assert run.data.metrics["test_roc_auc"] == trained.test["roc_auc"]
    assert run.inputs is not None
    assert {data.dataset.digest for data in run.inputs.dataset_inputs} == {trained.snapshot_id}
    pictures = {item.path for item in mlflow.MlflowClient().list_artifacts(trained.run_id, "plots")}
    names = ("confusion_matrix", "feature_importance", "precision_recall_curve", "reliability", "roc_curve")
    assert pictures == {f"plots/{name}.png" for name in names}


def test_a_shuffled_target_is_refused_and_production_stays(
    use_case: UseCase, platform: Platform, records: Path, tmp_path: Path
) -> None:
    loop(use_case, platform, records)
    refused = loop(use_case, platform, shuffled(tmp_path / "shuffled.csv"), "second")
    assert refused.verdict is Verdict.REFUSED
    assert "does not beat a dummy beyond chance" in refused.reasons[0]
    assert platform.registry.aliased(use_case.name, PRODUCTION) == 1
    assert platform.registry.aliased(use_case.name, CHALLENGER) is None
    assert platform.registry.version(use_case.name, refused.version).tags["gate"] == "refused"
    assert tuple(verdicts(use_case, platform)[-1].reasons) == refused.reasons


def offer_again(use_case: UseCase, platform: Platform) -> PromoteResult:
    """What a schedule's next run says of the model that was trained second."""
    compare(use_case, platform, "second")
    return promote(use_case, platform, unattended=True)


@pytest.fixture
def refused(use_case: UseCase, platform: Platform, records: Path, tmp_path: Path) -> PromoteResult:
    """Version 2, beside version 1 in production."""
    loop(use_case, platform, records)
    return loop(use_case, platform, shuffled(tmp_path / "shuffled.csv"), "second")


def test_what_was_refused_is_not_judged_again_by_a_schedule_while_nothing_changes(
    use_case: UseCase, platform: Platform, refused: PromoteResult
) -> None:
    assert refused.judged
    assert offer_again(use_case, platform) == refused.model_copy(update={"judged": False})
    assert len(verdicts(use_case, platform)) == 2
    assert platform.registry.aliased(use_case.name, CHALLENGER) is None


@pytest.mark.long
def test_what_was_refused_is_judged_again_when_somebody_asks(
    use_case: UseCase, platform: Platform, refused: PromoteResult
) -> None:
    compare(use_case, platform, "second")
    assert promote(use_case, platform).judged
    compare(use_case, platform, "second")
    forced = promote(use_case, platform, unattended=True, force_reason="a drill")
    assert (forced.version, forced.verdict) == (refused.version, Verdict.FORCED)


@pytest.mark.long
@pytest.mark.usefixtures("refused")
def test_what_was_refused_is_judged_again_by_another_gate(use_case: UseCase, platform: Platform) -> None:
    other_gate = use_case.model_copy(update={"gate": Gate(baseline_margin=0.03)})
    assert offer_again(other_gate, platform).judged
    assert not offer_again(other_gate, platform).judged


@pytest.mark.long
@pytest.mark.usefixtures("refused")
def test_what_was_refused_is_judged_again_by_other_records(
    use_case: UseCase, platform: Platform, tmp_path: Path
) -> None:
    load(use_case, str(write(tmp_path / "grown.csv", rows(ROWS + 500))), platform.raw, 0.05)
    preprocess(use_case, platform.raw, platform.clean)
    assert offer_again(use_case, platform).judged


@pytest.mark.long
def test_what_was_refused_is_judged_again_beside_another_version_in_production(
    use_case: UseCase, platform: Platform, refused: PromoteResult, tmp_path: Path
) -> None:
    [candidate] = use_case.candidates
    other = candidate.model_copy(update={"parameters": {"max_iter": 1000, "C": 0.5}})
    train_all(use_case.model_copy(update={"candidates": (other,)}), platform, tmp_path / "shuffled.csv", "third")
    assert promote(use_case, platform, force_reason="a drill").version == refused.version + 1
    assert offer_again(use_case, platform).judged


@pytest.mark.long
@pytest.mark.usefixtures("refused")
def test_what_was_refused_before_it_was_known_by_what_is_judged_again(
    use_case: UseCase, platform: Platform, admin_raw_engine: Engine
) -> None:
    with admin_raw_engine.begin() as connection:
        connection.execute(text("update gate_verdicts set numbers = numbers - 'judged_by'"))
    assert offer_again(use_case, platform).judged


@pytest.mark.long
def test_what_waits_for_a_person_goes_on_waiting(
    use_case: UseCase, platform: Platform, records: Path, tmp_path: Path
) -> None:
    loop(use_case, platform, records)
    manual = use_case.model_copy(update={"approval": "manual"})
    waiting = loop(manual, platform, write(tmp_path / "grown.csv", rows(ROWS + 1000)), "second")
    assert (waiting.verdict, waiting.judged) == (Verdict.WAITING, True)
    assert offer_again(manual, platform) == waiting.model_copy(update={"judged": False})
    assert len(verdicts(use_case, platform)) == 2
    assert platform.registry.aliased(use_case.name, CHALLENGER) == waiting.version
    assert offer_again(use_case, platform).verdict is Verdict.PROMOTED


def test_a_refusal_with_nothing_in_production_is_one_each_time(
    use_case: UseCase, platform: Platform, tmp_path: Path
) -> None:
    bad = shuffled(tmp_path / "shuffled.csv")
    assert [loop(use_case, platform, bad, run).judged for run in ("first", "second")] == [True, True]


def test_a_refused_model_can_be_forced_with_a_reason(use_case: UseCase, platform: Platform, tmp_path: Path) -> None:
    train_all(use_case, platform, shuffled(tmp_path / "shuffled.csv"), "first")
    with pytest.raises(BadInput, match="needs a reason"):
        promote(use_case, platform, force_reason=" ")
    forced = promote(use_case, platform, force_reason="a drill")
    assert forced.verdict is Verdict.FORCED
    assert forced.reasons[0] == "forced: a drill"
    assert platform.registry.aliased(use_case.name, PRODUCTION) == forced.version


@pytest.fixture
def two_versions(use_case: UseCase, platform: Platform, records: Path, tmp_path: Path) -> PromoteResult:
    loop(use_case, platform, records)
    grown = write(tmp_path / "grown.csv", rows(ROWS + 1000))
    result = loop(use_case, platform, grown, "second")
    assert (result.verdict, result.version, result.previous_version) == (Verdict.PROMOTED, 2, 1), result.reasons
    assert result.champion is not None
    return result


@pytest.mark.usefixtures("two_versions")
def test_the_way_back_is_one_step_and_stays(use_case: UseCase, platform: Platform, tmp_path: Path) -> None:
    back = rollback(use_case, platform)
    assert (back.in_production, back.previous_version) == (1, 2)
    assert platform.registry.version(use_case.name, 1).tags["stage"] == "Production"
    assert "stage" not in platform.registry.version(use_case.name, 2).tags
    again = loop(use_case, platform, tmp_path / "grown.csv", "third")
    assert again.verdict is Verdict.REFUSED
    assert "was taken out of production" in again.reasons[0]
    with pytest.raises(NothingToWorkOn, match="there is none before it"):
        rollback(use_case, platform)


@pytest.mark.usefixtures("two_versions")
def test_a_failed_proof_puts_the_version_before_back(
    use_case: UseCase, platform: Platform, admin_raw_engine: Engine
) -> None:
    api_process(admin_raw_engine, use_case, serves=1, offered=2, self_test="failed")
    with pytest.raises(StepFailed, match="version 2 failed its self-test, version 1 is back"):
        deploy(use_case, platform)
    assert platform.registry.aliased(use_case.name, PRODUCTION) == 1


@pytest.mark.usefixtures("two_versions")
def test_deploy_waits_for_every_process(use_case: UseCase, platform: Platform, admin_raw_engine: Engine) -> None:
    api_process(admin_raw_engine, use_case, serves=2, offered=2)
    assert deploy(use_case, platform).processes == 1
    api_process(admin_raw_engine, use_case, serves=1, offered=1)
    with pytest.raises(StepFailed, match="was not taken by all API processes"):
        deploy(use_case, platform)


def test_deploy_waits_for_a_process_that_serves_nothing_yet(
    use_case: UseCase, platform: Platform, records: Path, admin_raw_engine: Engine
) -> None:
    loop(use_case, platform, records)
    api_process(admin_raw_engine, use_case)
    with pytest.raises(StepFailed, match="was not taken by all API processes"):
        deploy(use_case, platform)


def api_process(
    engine: Engine, use_case: UseCase, serves: int | None = None, offered: int | None = None, self_test: str = "ok"
) -> None:
    process = {"id": uuid.uuid4(), "case": use_case.name, "serves": serves, "offered": offered, "self_test": self_test}
    with engine.begin() as connection:
        connection.execute(text("insert into api_processes (process_id, host, pid) values (:id, 'here', 1)"), process)
        if offered is not None:
            served = "(process_id, use_case, model_version, target_version, self_test)"
            values = "(:id, :case, :serves, :offered, :self_test)"
            connection.execute(text(f"insert into served_models {served} values {values}"), process)


def test_a_person_approves_where_the_use_case_says_so(use_case: UseCase, platform: Platform, records: Path) -> None:
    manual = use_case.model_copy(update={"approval": "manual"})
    waiting = loop(manual, platform, records)
    assert (waiting.verdict, waiting.in_production) == (Verdict.WAITING, None)
    assert platform.registry.aliased(use_case.name, CHALLENGER) == waiting.version
    assert promote(manual, platform).verdict is Verdict.PROMOTED


def test_what_waits_for_a_person_shadows_what_is_in_production(
    use_case: UseCase, platform: Platform, records: Path, tracking_uri: str, empty_postgres: Postgres, tmp_path: Path
) -> None:
    name, home, url = use_case.name, tmp_path / "home", empty_postgres.url("raw_data", "api")
    loop(use_case, platform, records)
    manual = use_case.model_copy(update={"approval": "manual"})
    grown = write(tmp_path / "grown.csv", rows(ROWS + 1000))
    with running_api(["services.api"], home, url, mlflow_tracking_uri=tracking_uri) as api:
        api.wait_for_version(1, name)
        assert loop(manual, platform, grown, "second").verdict is Verdict.WAITING
        wait_until(lambda: (api.health(name)["shadow"] or {}).get("asked", False), api.logged)
        first = api.answer(LOAN_RECORD, name)
        wait_until(lambda: len(answered(platform, name)) == 2, api.logged)
        assert promote(manual, platform).verdict is Verdict.PROMOTED
        api.wait_for_version(2, name)
        assert deploy(manual, platform).processes == 1
        wait_until(lambda: api.health(name)["shadow"] is None, api.logged)
        second = api.answer(LOAN_RECORD, name)
    (_, by_one), (shadows, by_two), (_, promoted) = answered(platform, name)
    assert str(shadows) == first["request_id"]
    assert by_one["1"] == pytest.approx(first["probability"]) != by_two["1"]
    assert by_two == promoted
    assert promoted["1"] == pytest.approx(second["probability"])


def answered(platform: Platform, use_case: str) -> list[Any]:
    """Which answer each one shadows, if it does, and its probabilities."""
    query = "select shadows, probabilities from predictions where use_case = :name order by request_id"
    with platform.raw.engine.connect() as connection:
        return list(connection.execute(text(query), {"name": use_case}))


def narrowed(use_case: UseCase) -> UseCase:
    age, *others = use_case.features
    narrower = age.model_copy(update={"valid": Limits(minimum=18, maximum=99)})
    return use_case.model_copy(update={"features": (narrower, *others)})


def wanting_more_records(use_case: UseCase) -> UseCase:
    return use_case.model_copy(update={"gate": Gate(minimum_test_records=100_000)})


@pytest.mark.parametrize(
    ("changed", "words"), [(narrowed, "breaks clients: feature age"), (wanting_more_records, "too few test records")]
)
def test_what_would_do_harm_is_refused(
    use_case: UseCase, platform: Platform, records: Path, changed: Callable[[UseCase], UseCase], words: str
) -> None:
    loop(use_case, platform, records)
    different = changed(use_case).model_copy(update={"seed": 9})
    refused = loop(different, platform, records, "second")
    assert refused.verdict is Verdict.REFUSED
    assert words in refused.reasons[0]


def test_a_model_that_compiles_to_another_one_is_never_registered(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    forest = "sklearn.ensemble.RandomForestClassifier"
    scaled = Candidate(name="scaled_forest", estimator=forest, parameters={"n_estimators": 50}, scale=True)
    with pytest.raises(Refused, match="scaled_forest: its compiled form differs"):
        train_all(use_case.model_copy(update={"candidates": (scaled,)}), platform, records, "first")
    assert platform.registry.versions(use_case.name) == []


def test_old_versions_and_snapshots_are_pruned_but_not_those_in_use(
    use_case: UseCase, platform: Platform, records: Path, tmp_path: Path
) -> None:
    loop(use_case, platform, records)
    snapshots = [platform.clean.latest(use_case.name)]
    for seed, count in enumerate((1500, 1600, 1700)):
        shuffled_case = use_case.model_copy(update={"seed": seed + 1})
        more = write(
            tmp_path / f"{count}.csv", [rows(0)[0], *([f"x{seed}-{line[0]}", *line[1:]] for line in rows(count)[1:])]
        )
        train_all(shuffled_case, platform, more, f"run {count}")
        snapshots.append(platform.clean.latest(use_case.name))
    keeping_two = connected_with(platform, keep_versions=2, keep_snapshots=1)
    pruned = prune(use_case, keeping_two)
    assert pruned.versions == (2,)
    assert {version.number for version in platform.registry.versions(use_case.name)} == {1, 3, 4}
    assert snapshots[0] is not None
    assert snapshots[0].snapshot_id not in pruned.snapshots
    assert len(pruned.snapshots) == 2


def connected_with(platform: Platform, **settings: int) -> Platform:
    changed = platform.settings.model_copy(update=settings)
    return Platform(**{**vars(platform), "settings": changed})


def test_a_model_of_a_sample_gives_way_to_one_of_real_records_and_never_takes_its_place(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    case = use_case.model_copy(update={"profiles": {"sample": Profile(source="sample.csv")}})
    sample = case.in_profile("sample")
    assert loop(sample, platform, records, "sample").verdict is Verdict.PROMOTED
    own = loop(case, platform, records, "own")
    assert (own.verdict, own.version) == (Verdict.PROMOTED, 2), own.reasons
    changed = sample.model_copy(update={"seed": 7})
    refused = loop(changed, platform, records, "sample again")
    assert refused.verdict is Verdict.REFUSED
    assert refused.reasons == (
        "it was trained on the profile sample, and the version in production on the use case's own records",
    )
    assert refused.in_production == 2


def test_a_daily_bootstrap_gives_each_day_a_model_of_its_own(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    daily = use_case.model_copy(update={"bootstrap": "daily"})
    [first], _ = train_all(daily, platform, records, "first", date(2026, 11, 20))
    [again], compared = train_all(daily, platform, records, "again", date(2026, 11, 20))
    assert again == first.model_copy(update={"trained": False})
    assert not compared.registered
    [other], compared = train_all(daily, platform, records, "other", date(2026, 11, 21))
    assert other.trained
    assert other.snapshot_id == first.snapshot_id
    assert other.test != first.test
    assert compared.version == 2


def test_without_a_bootstrap_the_day_changes_nothing(use_case: UseCase, platform: Platform, records: Path) -> None:
    [first], _ = train_all(use_case, platform, records, "first", date(2026, 11, 20))
    [other], _ = train_all(use_case, platform, records, "other", date(2026, 11, 21))
    assert other == first.model_copy(update={"trained": False})


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (lambda: rows(1), "too few records: the train part has [01]; load more"),
        (lambda: [each for each in rows(300) if each[-1] != "1"], "the train part has none of class 1; load more"),
    ],
)
def test_too_few_records_to_train_with_are_a_sentence(
    use_case: UseCase, platform: Platform, tmp_path: Path, lines: Callable[[], list[list[str]]], words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        train_all(use_case, platform, write(tmp_path / "few.csv", lines()), "few")


def test_nothing_to_work_on_is_a_sentence(use_case: UseCase, platform: Platform) -> None:
    with pytest.raises(NothingToWorkOn, match="run `modelyard preprocess` first"):
        train(use_case, "logistic_regression", platform, None, TODAY)
    with pytest.raises(NothingToWorkOn, match="has no challenger"):
        promote(use_case, platform)
    with pytest.raises(NothingToWorkOn, match="no version in production"):
        deploy(use_case, platform)


def test_a_tracking_server_that_is_down_is_named(empty_postgres: Postgres, use_case: UseCase, home: Path) -> None:
    nowhere = "http://127.0.0.1:9"
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    answer = r"tracking server at http://127\.0\.0\.1:9 does not answer"
    with (
        connected(Settings(_env_file=None, modelyard_home=home), *urls, nowhere) as stores,
        pytest.raises(ServiceUnavailable, match=answer),
    ):
        deploy(use_case, stores)

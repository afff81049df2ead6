"""Splits by group and time on a real Postgres and a real MLflow: nothing is judged by what it was trained on."""

import csv
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import text

from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput, ContractChanged
from modelyard.models.evaluation import gate
from modelyard.models.evaluation.evidence import Evidence
from modelyard.models.evaluation.gate import Weighed
from modelyard.settings import Settings
from modelyard.split import Parted
from modelyard.steps.compare import compare
from modelyard.steps.load import load
from modelyard.steps.preprocess import preprocess
from modelyard.steps.promote import PromoteResult, promote
from modelyard.steps.seen import TestPart
from modelyard.steps.stores import Platform, connected
from modelyard.steps.train import train
from modelyard.stores.registry import Registry, Version
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import PARTS, Candidate, Gate, RecordKey, Split, UseCase

FEATURES = tuple(f"x{number}" for number in range(5))
TODAY = date(2026, 11, 20)
FIRST_DAY = datetime.fromisoformat("2026-01-01")
ROLLING = Split(time="ordered_on", validation="20d", test="20d")
FOREST = Candidate(
    name="forest",
    estimator="sklearn.ensemble.RandomForestClassifier",
    parameters={"n_estimators": 30, "n_jobs": 1},
)

Row = Mapping[str, object]


@pytest.fixture
def platform(empty_postgres: Postgres, home: Path) -> Iterator[Platform]:
    """Without MLflow, which takes seconds to start."""
    with connected_to(empty_postgres, home, None) as stores:
        yield stores


@pytest.fixture
def tracked(empty_postgres: Postgres, tracking_uri: str, home: Path) -> Iterator[Platform]:
    with connected_to(empty_postgres, home, tracking_uri) as stores:
        yield stores


def connected_to(postgres: Postgres, home: Path, tracking_uri: str | None) -> Any:
    settings = Settings(_env_file=None, modelyard_home=home)
    return connected(settings, postgres.url("raw_data"), postgres.url("clean_data"), tracking_uri)


def orders(split: Split, features: tuple[str, ...] = (), **others: Any) -> UseCase:
    """Under a name of its own, as MLflow forgets nothing."""
    numbers = [Feature(name=name, type=FeatureType.NUMBER) for name in FEATURES]
    texts = [Feature(name=name, type=FeatureType.CATEGORY) for name in features]
    declared: dict[str, Any] = {
        "name": f"orders_{uuid.uuid4().hex[:8]}",
        "title": "Orders",
        "kind": TaskKind.BINARY,
        "key": RecordKey(name="order_id"),
        "features": (*numbers, *texts),
        "target": Target(name="returned", classes=(0, 1)),
        "source": "orders.csv",
        "candidates": (FOREST,),
        "split": split,
    }
    return UseCase(**declared | others)


def of_customers(customers: int, first: int = 0) -> list[Row]:
    """Five orders of each customer: the features are the customer's, and whether they return things is a coin."""
    drawn = np.random.default_rng(7 + first)
    made: list[Row] = []
    for customer in range(first, first + customers):
        features = dict(zip(FEATURES, drawn.normal(size=5).round(4).tolist(), strict=True))
        returned = int(drawn.integers(2))
        for order in range(5):
            day = FIRST_DAY + timedelta(days=(customer * 7 + order * 11) % 100)
            own = {"order_id": f"o{customer}-{order}", "customer_id": f"c{customer}", "ordered_on": f"{day:%Y-%m-%d}"}
            made.append(own | features | {"returned": returned})
    return made


def alone(count: int, first: int = 0, days: int = 100) -> list[Row]:
    """Orders that have nothing to do with each other, but for the two numbers that tell something."""
    drawn = np.random.default_rng(11 + first)
    made: list[Row] = []
    for number in range(first, first + count):
        values = drawn.normal(size=5).round(4)
        returned = int(drawn.random() < 1 / (1 + np.exp(-2 * values[0] - values[1])))
        day = FIRST_DAY + timedelta(days=(number - first) % days + first // 10)
        features = dict(zip(FEATURES, values.tolist(), strict=True))
        own = {"order_id": f"o{number}", "customer_id": f"c{number}", "ordered_on": f"{day:%Y-%m-%d}"}
        made.append(own | features | {"returned": returned})
    return made


def loaded(use_case: UseCase, platform: Platform, file: Path, rows: Sequence[Row]) -> Any:
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return load(use_case, str(file), platform.raw, 0.05)


def parts(use_case: UseCase, platform: Platform, snapshot_id: str) -> dict[str, str]:
    sides = platform.clean.sides(use_case.data_name, snapshot_id)
    return dict(zip(sides["record_key"].to_pylist(), sides["part"].to_pylist(), strict=True))


def parted(use_case: UseCase, platform: Platform, file: Path, rows: Sequence[Row]) -> dict[str, str]:
    loaded(use_case, platform, file, rows)
    return parts(use_case, platform, preprocess(use_case, platform.raw, platform.clean).snapshot_id)


def honest(use_case: UseCase, platform: Platform) -> float:
    """The ROC AUC on the test part of a forest that learns by heart."""
    from modelyard.models.fit import fit

    latest = platform.clean.latest(use_case.data_name)
    assert latest is not None
    frames = {part: platform.clean.frame(use_case, latest.snapshot_id, part) for part in PARTS}
    return fit(use_case, FOREST, frames["train"], frames["validation"], frames["test"]).test["roc_auc"]


def test_all_orders_of_a_customer_are_on_one_side(platform: Platform, tmp_path: Path) -> None:
    use_case = orders(Split(by="customer_id"))
    rows = of_customers(300)
    found = parted(use_case, platform, tmp_path / "orders.csv", rows)
    sides = {(row["customer_id"], found[str(row["order_id"])]) for row in rows}
    assert len(sides) == 300
    assert abs(honest(use_case, platform) - 0.5) < 0.15
    frame = platform.clean.frame(use_case, platform.clean.latest(use_case.name).snapshot_id, "test")  # type: ignore[union-attr]
    assert list(frame.columns) == [*FEATURES, "returned"]
    more = parted(use_case, platform, tmp_path / "more.csv", of_customers(50, first=300))
    assert {key: more[key] for key in found} == found


def test_an_order_without_customer_or_time_is_set_aside(platform: Platform, tmp_path: Path) -> None:
    use_case = orders(ROLLING.model_copy(update={"by": "customer_id"}))
    rows = [dict(row) for row in alone(100)]
    rows[3]["customer_id"] = " "
    rows[5]["ordered_on"] = ""
    rows[7]["ordered_on"] = "20.11.2026"
    rows[9]["ordered_on"] = "9999-12-31"
    result = loaded(use_case, platform, tmp_path / "orders.csv", rows)
    assert result.rows_rejected == 4
    with platform.raw.engine.connect() as connection:
        kept = connection.execute(text("select line, column_name, reason from rejected_records order by line"))
        assert [tuple(row) for row in kept] == [
            (5, "customer_id", "' ' is missing"),
            (7, "ordered_on", "is missing"),
            (
                9,
                "ordered_on",
                "'20.11.2026' is no date or time in ISO 8601, such as 2026-11-20 or 2026-11-20T10:30:00Z",
            ),
            (11, "ordered_on", "'9999-12-31' is ten years ahead or more: when a record came about cannot be"),
        ]
    without = [{name: value for name, value in row.items() if name != "ordered_on"} for row in rows]
    with pytest.raises(BadInput, match="no column for ordered_on"):
        loaded(use_case, platform, tmp_path / "without.csv", without)


def test_a_column_of_groups_may_be_a_feature_and_has_names_in_files(platform: Platform, tmp_path: Path) -> None:
    by_feature = orders(Split(by="customer_id"), features=("customer_id", "ordered_on"))
    rows = of_customers(40)
    aliased = orders(Split(by="customer_id", aliases={"customer_id": ("Kd.-Nr.",)}))
    renamed = [{("Kd.-Nr." if name == "customer_id" else name): value for name, value in row.items()} for row in rows]
    assert parted(by_feature, platform, tmp_path / "a.csv", rows) == parted(
        aliased, platform, tmp_path / "b.csv", [*renamed]
    )


def test_a_split_may_be_declared_later_and_taken_back(platform: Platform, tmp_path: Path) -> None:
    plain = orders(Split())
    file, rows = tmp_path / "orders.csv", of_customers(40)
    before = parted(plain, platform, file, rows)
    grouped = plain.model_copy(update={"split": Split(by="customer_id")})
    with pytest.raises(ContractChanged, match=r"200 records of \w+ have no customer_id.*load their files again"):
        preprocess(grouped, platform.raw, platform.clean)
    found = parted(grouped, platform, file, rows)
    assert len({(row["customer_id"], found[str(row["order_id"])]) for row in rows}) == 40
    assert parted(plain, platform, file, rows) == before


def test_by_time_the_newest_are_for_the_test(platform: Platform, tmp_path: Path) -> None:
    fixed = Split(time="ordered_on", validation_from="2026-03-02", test_from="2026-03-22")
    rows = alone(300)
    for split in (fixed, ROLLING):
        use_case = orders(split)
        found = parted(use_case, platform, tmp_path / "orders.csv", rows)
        days: dict[str, set[str]] = {}
        for row in rows:
            days.setdefault(found[str(row["order_id"])], set()).add(str(row["ordered_on"]))
        assert max(days["train"]) < min(days["validation"])
        assert max(days["validation"]) < min(days["test"]) == "2026-03-22"
        latest = platform.clean.latest(use_case.name)
        assert latest is not None
        assert latest.borders is not None
        assert latest.borders.model_dump() == {
            "validation_from": datetime.fromisoformat("2026-03-02"),
            "test_from": datetime.fromisoformat("2026-03-22"),
        }
        assert latest.split == split


def test_rolled_on_records_go_one_way_and_groups_stay_whole(platform: Platform, tmp_path: Path) -> None:
    use_case = orders(ROLLING.model_copy(update={"by": "customer_id"}))
    made = of_customers(200)
    days_of = [FIRST_DAY + timedelta(days=place // 10 + place % 5 * 12) for place in range(len(made))]
    dated = [{**row, "ordered_on": f"{day:%Y-%m-%d}"} for row, day in zip(made, days_of, strict=True)]
    # New customers come to the end.
    rows = sorted(
        (row for row in dated if str(row["ordered_on"]) < "2026-04-10"), key=lambda row: str(row["ordered_on"])
    )
    order = {"test": 0, "validation": 1, "train": 2}
    before: dict[str, str] = {}
    customers: dict[str, int] = {}
    for count in (450, 600, len(rows)):
        found = parted(use_case, platform, tmp_path / f"{count}.csv", rows[:count])
        assert all(order[found[key]] >= order[part] for key, part in before.items() if key in found)
        together = {(row["customer_id"], found[str(row["order_id"])]) for row in rows if row["order_id"] in found}
        assert len({customer for customer, _ in together}) == len(together)
        assert all(order[part] >= customers.get(str(customer), 0) for customer, part in together)
        customers |= {str(customer): order[part] for customer, part in together}
        days = {part: [row["ordered_on"] for row in rows if found.get(str(row["order_id"])) == part] for part in order}
        assert max(map(str, days["train"])) < min(map(str, days["test"]))
        before |= found


def test_equal_records_stand_together_where_the_split_goes_by_content(platform: Platform, tmp_path: Path) -> None:
    use_case = orders(Split(by_content=True))
    rows = of_customers(60)
    found = parted(use_case, platform, tmp_path / "orders.csv", rows)
    assert len({(row["customer_id"], found[str(row["order_id"])]) for row in rows}) == 60
    latest = platform.clean.latest(use_case.name)
    assert latest is not None
    clusters = TestPart(use_case, platform, latest.snapshot_id).clusters
    assert clusters is not None
    assert len(set(clusters.tolist())) * 5 == len(clusters) == latest.rows["test"]


class OneVersion(Registry):
    """A registry that knows one version, so that MLflow need not start."""

    def __init__(self, tags: dict[str, str]) -> None:
        super().__init__("http://127.0.0.1")
        self._tags = tags

    def version(self, use_case: str, number: int) -> Version:  # noqa: ARG002
        return Version(number=number, run_id="", tags=self._tags)


def unseen(
    now: UseCase,
    then: UseCase,
    platform: Platform,
    file: Path,
    rows: Sequence[Row],
    more: Sequence[Row] = (),
    tags: Any = None,
) -> tuple[set[str], dict[str, str], dict[str, str]]:
    """The test records that a version has not seen, and the parts of the snapshot it is of and of the newest one."""
    theirs = parted(then, platform, file, rows)
    before = platform.clean.latest(then.data_name)
    ours = parted(now, platform, file.with_name("more.csv"), [*rows, *more])
    latest = platform.clean.latest(now.data_name)
    assert before is not None
    assert latest is not None
    known = {"snapshot_id": before.snapshot_id} if tags is None else tags
    part = TestPart(now, replace(platform, tracking=OneVersion(known)), latest.snapshot_id)
    keys = sorted(key for key, where in ours.items() if where == "test")
    return {key for key, new in zip(keys, part.unseen_by([1]), strict=True) if new}, theirs, ours


def test_what_a_version_has_seen_is_what_it_was_trained_or_chosen_by(platform: Platform, tmp_path: Path) -> None:
    then = orders(Split())
    now = then.model_copy(update={"split": Split(seed=1)})
    found, theirs, ours = unseen(now, then, platform, tmp_path / "a.csv", alone(300), alone(100, first=300))
    tested = {key for key, part in ours.items() if part == "test"}
    assert found == {key for key in tested if theirs.get(key, "test") == "test"}
    assert 0 < len(found) < len(tested)


def test_a_version_has_seen_all_orders_of_a_customer_one_of_whom_it_was_trained_on(
    platform: Platform, tmp_path: Path
) -> None:
    then = orders(Split())
    now = then.model_copy(update={"split": Split(by="customer_id")})
    rows, more = of_customers(60), of_customers(20, first=60)
    found, theirs, ours = unseen(now, then, platform, tmp_path / "a.csv", rows, more)
    owner = {str(row["order_id"]): row["customer_id"] for row in [*rows, *more]}
    trained = {owner[key] for key, part in theirs.items() if part != "test"}
    assert found == {key for key, part in ours.items() if part == "test" and owner[key] not in trained}
    assert found


def test_by_time_a_version_has_seen_all_that_is_not_newer_than_what_it_was_trained_on(
    platform: Platform, tmp_path: Path
) -> None:
    then = orders(Split())
    rolling = then.model_copy(update={"split": ROLLING})
    rows, more = alone(300), alone(100, first=1000, days=10)
    found, _, _ = unseen(rolling, then, platform, tmp_path / "a.csv", rows, more)
    assert found == {str(row["order_id"]) for row in more}
    again = orders(ROLLING)
    found, theirs, ours = unseen(again, again, platform, tmp_path / "a.csv", rows, more)
    assert found == {key for key, part in ours.items() if part == "test"}
    assert {theirs[key] for key in found if key in theirs} == {"test"}


def test_where_its_snapshot_is_gone_a_version_is_taken_at_its_word(platform: Platform, tmp_path: Path) -> None:
    use_case = orders(Split())
    same = {"snapshot_id": "gone", "split": Parted(split=Split().identity()).model_dump_json()}
    other = same | {"split": Parted(split=Split(seed=1).identity()).model_dump_json()}
    for tags, is_unseen in ((same, True), (other, False), ({"snapshot_id": "gone"}, False), ({}, False)):
        found, _, ours = unseen(use_case, use_case, platform, tmp_path / "a.csv", alone(100), tags=tags)
        assert found == {key for key, part in ours.items() if part == "test" and is_unseen}


def looped(use_case: UseCase, platform: Platform, file: Path, rows: Sequence[Row]) -> PromoteResult:
    run = file.stem
    keep(platform, run, use_case, "load", loaded(use_case, platform, file, rows))
    keep(platform, run, use_case, "preprocess", preprocess(use_case, platform.raw, platform.clean))
    keep(platform, run, use_case, "train", train(use_case, FOREST.name, platform, run, TODAY), FOREST.name)
    compare(use_case, platform, run)
    return promote(use_case, platform)


def keep(platform: Platform, run: str, use_case: UseCase, step: str, result: Any, part: str = "") -> None:
    platform.results.keep(run, use_case.name, step, result, 0.1, part)


def test_a_champion_is_not_judged_by_what_it_has_seen_when_the_split_was_edited(
    tracked: Platform, tmp_path: Path
) -> None:
    use_case = orders(Split())
    rows = alone(1500)
    first = looped(use_case, tracked, tmp_path / "first.csv", rows)
    assert first.verdict is Verdict.PROMOTED, first.reasons
    edited = use_case.model_copy(update={"split": Split(seed=1)})
    second = looped(edited, tracked, tmp_path / "second.csv", rows)
    assert second.champion is not None
    assert second.champion["roc_auc"] < 0.95
    assert any(note.startswith("judged on ") for note in second.notes)
    assert (
        tracked.registry.version(use_case.name, 2).tags["split"]
        == '{"split":' + str(Split(seed=1).identity()).replace("'", '"').replace(" ", "") + ',"borders":null}'
    )


def test_the_gate_is_told_which_records_depend_on_each_other(
    tracked: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[Evidence] = []
    weigh = gate.weigh

    def watched(rules: Gate, evidence: Evidence, error_rate: float) -> Weighed:
        judged.append(evidence)
        return weigh(rules, evidence, error_rate)

    monkeypatch.setattr(gate, "weigh", watched)
    use_case = orders(Split(by="customer_id"))
    looped(use_case, tracked, tmp_path / "orders.csv", of_customers(300))
    [evidence] = judged
    assert evidence.clusters is not None
    assert len(set(evidence.clusters.tolist())) * 5 == len(evidence.clusters) == len(evidence.truth)


def test_a_training_splits_as_its_snapshot_was_though_the_use_case_says_otherwise_by_now(
    tracked: Platform, tmp_path: Path
) -> None:
    use_case = orders(Split(by="customer_id"))
    looped(use_case, tracked, tmp_path / "orders.csv", of_customers(100))
    edited = use_case.model_copy(update={"split": Split(seed=1)})
    assert not train(edited, FOREST.name, tracked, None, TODAY).trained


def test_where_too_few_are_left_the_model_is_refused_and_told_what_helps(tracked: Platform, tmp_path: Path) -> None:
    use_case = orders(Split())
    rows = alone(400)
    assert looped(use_case, tracked, tmp_path / "first.csv", rows).verdict is Verdict.PROMOTED
    rolling = use_case.model_copy(update={"split": ROLLING})
    refused = looped(rolling, tracked, tmp_path / "second.csv", rows)
    assert refused.verdict is Verdict.REFUSED
    assert "in the training of version 2 or of version 1 in production" in refused.reasons[0]
    assert "promote --force" in refused.reasons[0]
    later = looped(rolling, tracked, tmp_path / "third.csv", alone(1000, first=1000, days=20))
    assert later.champion is not None
    assert later.champion["roc_auc"] < 0.95
    assert not any("in the training of version" in reason for reason in later.reasons)


def test_looks_at_records_that_are_not_shared_are_counted_apart(platform: Platform) -> None:
    def look(version: int, begin: int, end: int) -> tuple[int, int]:
        span = (FIRST_DAY + timedelta(days=begin), FIRST_DAY + timedelta(days=end))
        taken = platform.looks.take("orders", version, f"s{begin}", 100, span)
        return taken.doubling, taken.look

    assert look(1, 0, 29) == (1, 1)
    assert look(2, 10, 39) == (1, 2)
    assert look(2, 10, 39) == (1, 2)
    assert look(3, 30, 59) == (1, 2)
    assert look(4, 60, 89) == (1, 1)
    assert look(5, 0, 89) == (1, 5)
    fixed = platform.looks.take("orders", 6, "fixed", 100)
    assert fixed.look == 6

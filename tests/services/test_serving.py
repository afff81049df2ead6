"""How an API process gets its models: taken when proven, kept for the next start, swapped without a failed request."""

import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Feature, FeatureType, Interval, Target, TaskKind
from modelyard.models.onnx.compiled import MODEL_FILE
from tests.services.conftest import Case, StartApi
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.running_api import RunningApi, wait_until


def probability(api: RunningApi) -> float:
    return float(api.answer(LOAN_RECORD)["probability"])


def test_it_starts_without_a_registry_and_without_a_model(start_api: StartApi, source: FolderSource) -> None:
    source.go_away()
    with start_api() as api:
        assert api.client.get("/live").status_code == 200
        ready = api.client.get("/ready")
        assert ready.status_code == 503
        assert ready.json() == {"detail": "loan_approval: no version is in production yet"}
        for path in ("/predict", "/predict/loan_approval"):
            response = api.client.post(path, json=LOAN_RECORD)
            assert response.status_code == 503
            sentence = "loan_approval cannot be answered: no version is in production yet"
            assert response.json() == {"detail": sentence}
            assert int(response.headers["retry-after"]) > 0
        assert api.predict(LOAN_RECORD, "no_such").status_code == 404
        assert api.client.get("/info").json()["use_cases"] == {}
        assert "/predict" in api.client.get("/openapi.json").json()["paths"]
        assert api.client.get("/health").status_code == 503
        wait_until(lambda: "does not answer" in api.client.get("/health").json()["registry"])
        source.point(loan_approval=1)
        api.wait_for_version(1)
        assert api.client.get("/ready").status_code == 200


def test_a_new_version_is_taken_while_it_runs(case: Case) -> None:
    before = case.answer()["probability"]
    case.promote(2, bias=1)
    answer = case.answer()
    assert answer["model_version"] == 2
    assert answer["probability"] > before
    assert (case.health()["target_version"], case.health()["self_test"]) == (2, "ok")


def test_a_new_use_case_is_taken_while_it_runs(case: Case) -> None:
    other = f"{case.name}_other"
    put(case.source, 7, case.contract(use_case=other), LOAN_RECORD)
    assert case.api.predict(LOAN_RECORD, other).status_code == 404
    case.source.point(**{other: 7})
    case.api.wait_for_version(7, other)
    assert case.api.answer(LOAN_RECORD, other)["model_version"] == 7
    assert case.answer()["model_version"] == 1


def test_a_use_case_of_which_nothing_is_in_production_is_known(case: Case) -> None:
    waiting = f"{case.name}_waiting"
    case.source.point(**{waiting: None})
    wait_until(lambda: waiting in case.api.client.get("/health").json()["use_cases"], case.api.logged)
    response = case.api.predict(LOAN_RECORD, waiting)
    assert response.status_code == 503
    assert response.json()["detail"] == f"{waiting} cannot be answered: no version is in production yet"


def test_what_is_taken_out_of_production_keeps_answering(case: Case) -> None:
    case.source.point(**{case.name: None})
    Case(f"{case.name}_other", case.source, case.api).promote(1)
    assert case.answer()["model_version"] == 1


def test_the_documents_change_with_the_contract(case: Case) -> None:
    married = Feature(name="married", type=FeatureType.BOOLEAN, nullable=True, help="Whether there is a spouse.")
    wider = case.contract(features=(*loan_contract().features, married), threshold=0.25)
    assert "married" not in case.api.client.get("/openapi.json").text
    assert case.api.predict(LOAN_RECORD | {"married": True}, case.name).status_code == 422
    case.promote(2, wider)
    schemas = case.api.client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas[f"{case.name}_record"]["properties"]["married"]["title"] == "Married"
    assert "0.25" in schemas[f"{case.name}_answer"]["properties"]["probability"]["description"]
    assert case.api.client.get("/info").json()["use_cases"][case.name]["features"][-1]["name"] == "married"
    assert case.api.predict(LOAN_RECORD | {"married": True}, case.name).status_code == 200


def test_the_threshold_of_the_contract_decides(case: Case) -> None:
    assert 0.5 < case.answer()["probability"] < 0.99
    assert case.answer()["prediction"] == 1
    case.promote(2, case.contract(threshold=0.99))
    assert case.answer()["prediction"] == 0


def test_a_version_that_fails_its_proof_is_told_and_not_served(case: Case) -> None:
    before = case.answer()["probability"]
    case.put(2, bias=1, example_off_by=0.01)
    case.point(2)
    sentence = case.wait_for_failure(2)
    assert sentence.startswith("version 2 cannot be served: the model's answers to its example differ")
    assert case.health()["model_version"] == 1
    assert case.answer()["probability"] == before
    case.point(1)
    wait_until(lambda: case.health()["self_test"] == "ok")
    assert case.health()["target_version"] == 1


@pytest.mark.parametrize("name", ["contract.json", "model.onnx", "example.json"])
def test_an_incomplete_version_is_told_and_not_served(case: Case, name: str) -> None:
    (case.put(2) / name).unlink()
    case.point(2)
    assert name in case.wait_for_failure(2)
    assert case.answer()["model_version"] == 1


def test_a_damaged_version_is_told_and_not_served(case: Case) -> None:
    (case.put(2) / MODEL_FILE).write_bytes(b"damaged")
    case.point(2)
    assert "model.onnx is not a model that onnxruntime can read" in case.wait_for_failure(2)
    assert case.answer()["model_version"] == 1


def test_a_contract_of_a_newer_format_is_told_and_the_version_before_goes_on(case: Case) -> None:
    contract_file = case.put(2) / "contract.json"
    contract = json.loads(contract_file.read_text())
    contract_file.write_text(json.dumps(contract | {"format": 3, "unheard_of": {"of": "this release"}}))
    case.point(2)
    sentence = case.wait_for_failure(2)
    assert "it is of format 3, and this release of Modelyard reads formats up to 2" in sentence
    assert sentence in case.api.logged()
    assert case.answer()["model_version"] == 1


def test_a_contract_of_the_first_format_is_served(case: Case) -> None:
    contract_file = case.put(2) / "contract.json"
    contract = json.loads(contract_file.read_text())
    for name in ("calibration", "reliability", "interval"):
        del contract[name]
    contract_file.write_text(json.dumps(contract | {"format": 1}))
    case.point(2)
    case.api.wait_for_version(2, case.name)
    assert case.answer()["model_version"] == 2


def test_values_with_intervals_are_answered_kept_and_documented(case: Case, raw_engine: Engine) -> None:
    interval = Interval(coverage=0.9, at=(0.0, 10.0), half_widths=(1.0, 2.0))
    values = {"kind": TaskKind.REGRESSION, "target": Target(name="amount", unit="EUR"), "interval": interval}
    case.promote(2, case.contract(**values))
    answer = case.answer()
    half = 1 + answer["prediction"] / 10
    assert answer["lower"] == pytest.approx(answer["prediction"] - half)
    assert answer["upper"] == pytest.approx(answer["prediction"] + half)
    [many] = case.api.client.post(f"/predict/{case.name}/batch", json=[LOAN_RECORD]).json()["predictions"]
    ends = [answer["lower"], answer["upper"]]
    assert [many["lower"], many["upper"]] == ends
    kept = text("select lower, upper from predictions where use_case = :name")
    with raw_engine.connect() as connection:
        assert [list(row) for row in connection.execute(kept, {"name": case.name})] == [ends, ends]
    last = case.api.client.get(f"/predictions/{case.name}").json()["predictions"]
    assert [[each["lower"], each["upper"]] for each in last] == [ends, ends]
    assert case.api.client.get("/info").json()["use_cases"][case.name]["coverage"] == 0.9
    schemas = case.api.client.get("/openapi.json").json()["components"]["schemas"]
    described = schemas[f"{case.name}_answer"]
    assert "90 %" in described["properties"]["lower"]["description"]
    assert {"lower", "upper"} <= set(described["required"])


def test_another_use_cases_model_is_told_and_not_served(case: Case) -> None:
    put(case.source, 2, case.contract(use_case="other"), LOAN_RECORD)
    shutil.copytree(case.source.folder / "other" / "2", case.put(2), dirs_exist_ok=True)
    case.point(2)
    assert f"its contract is that of other, not of {case.name}" in case.wait_for_failure(2)


def test_a_first_version_that_fails_leaves_a_sentence(start_api: StartApi, source: FolderSource) -> None:
    put(source, 1, loan_contract(), LOAN_RECORD, example_off_by=0.01)
    with start_api() as api:
        wait_until(lambda: api.health().get("self_test") == "failed", api.logged)
        response = api.predict(LOAN_RECORD)
        assert response.status_code == 503
        assert "version 1 cannot be served" in response.json()["detail"]
        assert "version 1 cannot be served" in api.client.get("/ready").json()["detail"]


def test_models_of_other_peoples_names_are_left_alone(case: Case) -> None:
    production = case.source.folder / "production.json"
    before = production.read_text()
    unfinished = production.with_suffix(".other")
    unfinished.write_text(json.dumps(json.loads(before) | {"../escape": 1, "Other Model": 4}))
    unfinished.replace(production)
    case.promote(2)
    assert not {"../escape", "Other Model"} & set(case.api.client.get("/health").json()["use_cases"])
    unfinished.write_text(before)
    unfinished.replace(production)


def test_it_keeps_answering_without_the_registry(case: Case) -> None:
    production = case.source.folder / "production.json"
    offered = production.read_text()
    case.source.go_away()
    wait_until(lambda: "does not answer" in case.api.client.get("/health").json()["registry"])
    assert case.answer()["model_version"] == 1
    assert case.api.client.get("/ready").status_code == 200
    production.write_text(offered)
    case.promote(2)
    assert case.api.client.get("/health").json()["registry"] == "answers"


def test_a_restart_answers_from_the_cache(start_api: StartApi, source: FolderSource) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        put(source, 2, loan_contract(), LOAN_RECORD, bias=1)
        source.point(loan_approval=2)
        api.wait_for_version(2)
        before = probability(api)
        # Back from memory, without a download: the cache must follow.
        shutil.rmtree(source.folder / "loan_approval")
        source.point(loan_approval=1)
        api.wait_for_version(1)
        assert probability(api) < before
        source.point(loan_approval=2)
        api.wait_for_version(2)
    source.go_away()
    with start_api() as api:
        answer = api.answer(LOAN_RECORD)
        assert (answer["model_version"], answer["probability"]) == (2, before)
        assert (api.health()["self_test"], api.health()["target_version"]) == ("ok", 2)
        assert "from the cache" in api.health()["detail"]


def test_a_damaged_cache_is_as_good_as_none(start_api: StartApi, tmp_path: Path) -> None:
    folder = tmp_path / "home" / "models" / "loan_approval"
    (folder / "1").mkdir(parents=True)
    (folder / "production").write_text("1\n")
    with start_api() as api:
        api.wait_for_version(1)
        assert "version 1 in the cache cannot be used: contract.json" in api.logged()
    assert (folder / "1" / MODEL_FILE).exists()


def test_a_registry_that_was_made_anew_is_believed(start_api: StartApi, source: FolderSource, tmp_path: Path) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        before = probability(api)
    put(source, 1, loan_contract(), LOAN_RECORD, bias=1)
    with start_api() as api:
        wait_until(lambda: probability(api) > before)
    cached = tmp_path / "home" / "models" / "loan_approval" / "1" / MODEL_FILE
    assert cached.read_bytes() == (source.folder / "loan_approval" / "1" / MODEL_FILE).read_bytes()


def test_the_cache_keeps_some_versions_and_nothing_half_done(
    start_api: StartApi, source: FolderSource, tmp_path: Path
) -> None:
    with start_api(keep_versions=2) as one, start_api(keep_versions=2) as other:
        for version in (2, 3, 4):
            put(source, version, loan_contract(), LOAN_RECORD)
            source.point(loan_approval=version)
            one.wait_for_version(version)
            other.wait_for_version(version)
        assert "Traceback" not in one.logged() + other.logged()
        assert "cannot be kept" not in one.logged() + other.logged()
    held = {path.name for path in (tmp_path / "home" / "models" / "loan_approval").iterdir()}
    assert held == {"3", "4", "production"}


def test_a_request_under_way_finishes_on_the_version_that_took_it(case: Case, admin_raw_engine: Engine) -> None:
    before = case.answer()["probability"]
    with ThreadPoolExecutor(1) as pool:
        with admin_raw_engine.begin() as connection:
            connection.execute(text("lock table predictions in share mode"))
            waiting = pool.submit(case.answer)
            wait_until(lambda: _waits_for_lock(admin_raw_engine))
            case.put(2, bias=1)
            case.point(2)
            wait_until(lambda: f"{case.name}: version 2 is in production" in case.api.logged())
        answer = waiting.result()
    assert (answer["model_version"], answer["probability"]) == (1, before)
    assert case.answer()["model_version"] == 2


def test_no_request_fails_during_swaps(case: Case) -> None:
    stop = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(_ask_until, case, stop) for _ in range(4)]
        for version in (2, 3, 4):
            case.promote(version, bias=version)
        stop.set()
        answers = [answer for asked in asking for answer in asked.result()]
    by_version = {answer["model_version"]: answer["probability"] for answer in answers}
    assert 4 in by_version
    for answer in answers:
        assert answer["probability"] == by_version[answer["model_version"]]


def _ask_until(case: Case, stop: threading.Event) -> list[dict[str, Any]]:
    answers = []
    while not stop.is_set():
        answers.append(case.answer())
    return [*answers, case.answer()]


def _waits_for_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        query = "select count(*) from pg_locks where not granted and relation = 'predictions'::regclass"
        return bool(connection.scalar(text(query)))

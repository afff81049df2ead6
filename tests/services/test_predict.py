"""Asking a running API for predictions, and finding every answer in the database."""

import json
import re
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import Engine, RowMapping, text
from sqlalchemy.exc import ProgrammingError

from modelyard.contract import TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.models.onnx.compiled import CompiledModel
from modelyard.stores.database import make_engine
from tests.services.any_records import anything, near_records
from tests.services.folder_source import FolderSource
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, loan_contract, put
from tests.services.running_api import RunningApi, running_api, wait_until

# The one API of all these tests outlives each of them: what it keeps must not.
pytestmark = pytest.mark.usefixtures("empty_postgres")

BODY_LIMIT = 1024 * 1024
ORIGINAL_KEYS = ["prediction", "probability", "model_version", "request_id", "warnings"]
ALL_KINDS = {
    f"every_{kind}": every_type_contract(kind) for kind in (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION)
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> FolderSource:
    """Models of every kind, all in production."""
    made = FolderSource(tmp_path_factory.mktemp("registry"))
    put(made, 3, loan_contract(), LOAN_RECORD)
    for contract in ALL_KINDS.values():
        put(made, 1, contract, EVERY_RECORD)
    made.point(loan_approval=3, **dict.fromkeys(ALL_KINDS, 1))
    return made


@pytest.fixture(scope="module")
def api(models: FolderSource, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """One API for all tests here: none of them changes what it serves."""
    home = tmp_path_factory.mktemp("home")
    url = postgres.url("raw_data", "api")
    with running_api(["tests.services.folder_api", str(models.folder)], home, url) as running:
        running.wait_for_version(3)
        for use_case in ALL_KINDS:
            running.wait_for_version(1, use_case)
        yield running


def model_of(models: FolderSource, use_case: str, version: int = 1) -> CompiledModel:
    return CompiledModel.load(models.folder / use_case / str(version))


def kept(engine: Engine, request_id: str) -> RowMapping:
    with engine.connect() as connection:
        query = text("select * from predictions where request_id = :request_id")
        return connection.execute(query, {"request_id": request_id}).mappings().one()


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select count(*) from predictions")) or 0)


def post(api: RunningApi, content: Any, path: str = "/predict", **headers: str) -> httpx.Response:
    return api.client.post(path, content=content, headers={"content-type": "application/json"} | headers)


@pytest.mark.parametrize("path", ["/predict", "/predict/", "/predict/loan_approval", "/predict/loan_approval/"])
def test_every_way_to_ask_is_answered(api: RunningApi, raw_engine: Engine, path: str) -> None:
    response = api.client.post(path, json=LOAN_RECORD)
    assert response.status_code == 200, response.text
    assert list(response.json()) == ORIGINAL_KEYS
    assert response.headers["content-type"] == "application/json"
    assert kept(raw_engine, response.json()["request_id"])["use_case"] == "loan_approval"


def test_the_answer_is_the_models(api: RunningApi, models: FolderSource) -> None:
    answer = api.answer(LOAN_RECORD)
    scores = model_of(models, "loan_approval", 3).scores(loan_contract().to_arrays([LOAN_RECORD]))
    assert answer["probability"] == pytest.approx(float(scores[0, 1]), abs=1e-6)
    assert answer["prediction"] == int(scores[0, 1] >= 0.5)
    assert answer["model_version"] == 3
    assert answer["warnings"] == []


def test_clients_of_the_original_are_answered(api: RunningApi) -> None:
    original = {
        "id": 17,
        "age": 45,
        "annual_income": 81_000,
        "credit_score": 640,
        "loan_amount": 12_000,
        "loan_duration_years": 7,
        "number_of_open_accounts": 2,
        "had_past_default": 1,
    }
    assert api.answer(original)["prediction"] in (0, 1)


def test_unseen_values_are_answered_with_a_warning(api: RunningApi) -> None:
    [warning] = api.answer(LOAN_RECORD | {"age": 100})["warnings"]
    assert warning == "age: 100 is outside of what the model was trained on (18 to 69)"


def test_more_than_two_classes_are_answered_with_all_probabilities(api: RunningApi) -> None:
    answer = api.answer(EVERY_RECORD, "every_multiclass")
    assert list(answer) == [*ORIGINAL_KEYS, "probabilities"]
    assert list(answer["probabilities"]) == ["blue", "green", "red"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert (
        answer["probability"] == answer["probabilities"][answer["prediction"]] == max(answer["probabilities"].values())
    )


def test_a_regression_is_answered_with_a_number(api: RunningApi, raw_engine: Engine) -> None:
    answer = api.answer(EVERY_RECORD, "every_regression")
    assert list(answer) == ORIGINAL_KEYS
    assert isinstance(answer["prediction"], float)
    assert answer["probability"] is None
    row = kept(raw_engine, answer["request_id"])
    assert row["prediction"] == answer["prediction"]
    assert row["probabilities"] is None


def test_the_row_holds_what_was_asked_and_answered(api: RunningApi, raw_engine: Engine) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    answer = api.answer(LOAN_RECORD | {"id": "A-17", "age": None})
    row = kept(raw_engine, answer["request_id"])
    assert row["features"] == LOAN_RECORD | {"age": None}
    assert row["prediction"] == answer["prediction"]
    assert row["probabilities"]["1"] == answer["probability"]
    assert row["probabilities"]["0"] == pytest.approx(1 - answer["probability"], abs=1e-6)
    assert (row["use_case"], row["model_version"], row["role"]) == ("loan_approval", 3, "production")
    assert row["record_key"] == "A-17"
    assert 0 < row["latency_ms"] < 60_000
    assert before < row["created_at"] < datetime.now(UTC) + timedelta(seconds=5)


def test_request_ids_are_of_version_7_and_in_order(api: RunningApi) -> None:
    ids = [uuid.UUID(api.answer(LOAN_RECORD)["request_id"]) for _ in range(5)]
    assert {each.version for each in ids} == {7}
    assert ids == sorted(ids)


def test_the_record_key_is_no_idempotency_key(api: RunningApi, raw_engine: Engine) -> None:
    first, second = (api.answer(LOAN_RECORD | {"id": 4})["request_id"] for _ in range(2))
    assert first != second
    assert kept(raw_engine, first)["record_key"] == kept(raw_engine, second)["record_key"] == "4"


def test_nothing_is_answered_before_it_is_committed_and_what_waits_is_committed_together(
    api: RunningApi, raw_engine: Engine, admin_raw_engine: Engine
) -> None:
    with ThreadPoolExecutor(20) as pool:
        with admin_raw_engine.begin() as connection:
            connection.execute(text("lock table predictions in share mode"))
            waiting = [pool.submit(api.answer, LOAN_RECORD | {"id": number}) for number in range(20)]
            wait_until(lambda: _waits_for_lock(raw_engine))
            assert not [future for future in waiting if future.done()]
        ids = [future.result()["request_id"] for future in waiting]
    assert len(set(ids)) == 20
    with raw_engine.connect() as connection:
        rows, transactions = connection.execute(
            text("select count(*), count(distinct xmin::text) from predictions where request_id = any(:ids)"),
            {"ids": [uuid.UUID(each) for each in ids]},
        ).one()
    assert rows == 20
    # The first to arrive, those that had arrived by then, and at most some late ones: far less than one for each.
    assert transactions <= 10


def _waits_for_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        query = "select count(*) from pg_locks where not granted and relation = 'predictions'::regclass"
        return bool(connection.scalar(text(query)))


def test_answers_to_many_at_once_are_each_their_own(api: RunningApi, models: FolderSource) -> None:
    records = [LOAN_RECORD | {"annual_income": float(1000 * number)} for number in range(60)]
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(api.answer, records))
    scores = model_of(models, "loan_approval", 3).scores(loan_contract().to_arrays(records))
    assert [answer["probability"] for answer in answers] == pytest.approx(scores[:, 1].tolist(), abs=1e-6)


def test_the_role_of_the_api_may_only_add_predictions(api: RunningApi, postgres: Postgres, raw_engine: Engine) -> None:
    request_id = api.answer(LOAN_RECORD)["request_id"]
    engine = make_engine(postgres.url("raw_data", "api"))
    try:
        for statement in (
            "select * from predictions",
            "delete from predictions",
            "update predictions set record_key = 'x'",
            "insert into gate_verdicts (use_case, model_version, verdict) values ('x', 1, 'x')",
            "create table mine (x int)",
        ):
            with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
                connection.execute(text(statement))
    finally:
        engine.dispose()
    assert kept(raw_engine, request_id)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (LOAN_RECORD | {"age": 17}, "age"),
        (LOAN_RECORD | {"age": "35"}, "age"),
        (LOAN_RECORD | {"age": 35.5}, "age"),
        (LOAN_RECORD | {"loan_duration_years": None}, "loan_duration_years"),
        (LOAN_RECORD | {"had_past_default": "no"}, "had_past_default"),
        (LOAN_RECORD | {"unknown": 1}, "unknown"),
        (LOAN_RECORD | {"id": [1]}, "id"),
    ],
)
def test_bad_input_is_named_and_not_kept(api: RunningApi, raw_engine: Engine, body: dict[str, Any], field: str) -> None:
    response = api.predict(body)
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert set(problem) == {"type", "loc", "msg"}
    assert problem["loc"] == ["body", field]
    assert field in problem["msg"]
    assert count(raw_engine) == 0


@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "9" * 1000])
def test_numbers_that_json_does_not_have_are_bad_input(api: RunningApi, token: str) -> None:
    body = json.dumps(LOAN_RECORD | {"age": "TOKEN"}).replace('"TOKEN"', token)
    response = post(api, body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["body", "age"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"1" * 100_000])
def test_broken_bodies_are_bad_input(api: RunningApi, body: bytes) -> None:
    response = post(api, body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["msg"].startswith("the body ")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_what_is_not_called_json_is_bad_input(api: RunningApi, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = api.client.post("/predict", content=json.dumps(LOAN_RECORD).encode(), headers=headers)
    assert response.status_code == 422
    assert "Content-Type: application/json" in response.json()["detail"][0]["msg"]


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "application/geo+json"])
def test_every_name_of_json_is_taken(api: RunningApi, kind: str) -> None:
    response = api.client.post("/predict", content=json.dumps(LOAN_RECORD), headers={"content-type": kind})
    assert response.status_code == 200


def in_chunks(size: int) -> Iterator[bytes]:
    for _ in range(0, size, 64 * 1024):
        yield b" " * min(size, 64 * 1024)


@pytest.mark.parametrize("size", [BODY_LIMIT + 1, 4 * BODY_LIMIT])
def test_a_body_that_is_too_large_is_refused(api: RunningApi, size: int) -> None:
    response = post(api, b" " * size)
    assert response.status_code == 413
    assert str(BODY_LIMIT) in response.json()["detail"]
    assert api.answer(LOAN_RECORD)


def test_a_body_that_does_not_tell_its_size_is_refused_as_well(api: RunningApi) -> None:
    response = post(api, in_chunks(2 * BODY_LIMIT))
    assert "content-length" not in response.request.headers
    assert response.status_code == 413
    assert api.answer(LOAN_RECORD)


def test_a_body_of_just_that_size_is_read(api: RunningApi) -> None:
    record = json.dumps(LOAN_RECORD).encode()
    rest = b" " * (BODY_LIMIT - len(record))
    for body in (record + rest, iter([record, rest])):
        response = post(api, body)
        # It is no longer too large for a body, and is so for a record.
        assert response.status_code == 422
        assert "bytes" in response.json()["detail"][0]["msg"]


def test_an_unknown_use_case_is_not_found_and_the_known_ones_are_listed(api: RunningApi) -> None:
    for use_case in ("no_such", "LOAN_APPROVAL", "a%2Fb", "%00", "ü"):
        response = api.client.post(f"/predict/{use_case}", json=LOAN_RECORD)
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/json"
    assert api.predict({}, "no_such").json() == {
        "detail": "there is no use case 'no_such'; "
        "there are: every_binary, every_multiclass, every_regression, loan_approval"
    }


def test_other_paths_and_methods_are_errors_of_the_same_form(api: RunningApi) -> None:
    nothing, wrong = api.client.get("/no/such"), api.client.get("/predict/loan_approval")
    assert (nothing.status_code, wrong.status_code) == (404, 405)
    assert isinstance(nothing.json()["detail"], str)
    assert isinstance(wrong.json()["detail"], str)
    assert wrong.headers["allow"] == "POST"


def test_an_odd_host_name_is_refused_as_any_foreign_one(api: RunningApi) -> None:
    for path in ("/no/such", "/predict/no_such", "/predict/loan_approval"):
        response = api.client.post(path, json=LOAN_RECORD, headers={"host": "["})
        assert response.status_code == 421
        assert "ALLOWED_HOSTS" in response.json()["detail"]


@given(record=near_records(), kind=st.sampled_from(sorted(ALL_KINDS)))
@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_record_is_more_than_the_api_can_bear(api: RunningApi, record: dict[str, Any], kind: str) -> None:
    response = post(api, json.dumps(record), f"/predict/{kind}")
    assert response.status_code in (200, 422), response.text
    assert list(response.json()) in ([*ORIGINAL_KEYS], [*ORIGINAL_KEYS, "probabilities"], ["detail"])


@given(body=anything().map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
@hypothesis_settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_is_more_than_the_api_can_bear(api: RunningApi, body: bytes) -> None:
    assert post(api, body).status_code == 422


def test_a_client_that_leaves_half_way_harms_nobody(api: RunningApi) -> None:
    def broken() -> Iterator[bytes]:
        yield b'{"age": '
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        post(api, broken())
    assert api.answer(LOAN_RECORD)
    assert "Traceback" not in api.logged()


def test_what_is_served_fills_a_form(api: RunningApi) -> None:
    info = api.client.get("/info").json()
    assert info["default_use_case"] == "loan_approval"
    assert sorted(info["use_cases"]) == [*sorted(ALL_KINDS), "loan_approval"]
    loan = info["use_cases"]["loan_approval"]
    assert (loan["title"], loan["kind"], loan["model_version"], loan["key"]) == ("Loan approval", "binary", 3, "id")
    assert loan["target"]["class_titles"] == ["Refused", "Approved"]
    assert loan["example"] == LOAN_RECORD
    age = loan["features"][0]
    assert (age["name"], age["title"], age["unit"], age["type"], age["nullable"]) == (
        "age",
        "Age",
        "years",
        "integer",
        True,
    )
    assert (age["valid"], age["seen"]) == ({"minimum": 18, "maximum": 120}, {"minimum": 18, "maximum": 69})
    colour = info["use_cases"]["every_binary"]["features"][6]
    assert colour["categories"] == ["red", "green", "blue, dark"]
    assert api.predict(loan["example"]).status_code == 200


def test_the_document_has_a_typed_route_for_every_use_case(api: RunningApi) -> None:
    document = api.client.get("/openapi.json").json()
    paths = {"/predict", "/live", "/ready", "/health", "/info", "/predict/loan_approval"}
    paths |= {"/predictions/{use_case}", "/services", "/metrics"}
    paths |= {f"/predict/{use_case}" for use_case in ALL_KINDS}
    batches = {f"{path}/batch" for path in paths if path.startswith("/predict") and "{" not in path}
    assert set(document["paths"]) == paths | batches
    operation = document["paths"]["/predict/loan_approval"]["post"]
    assert set(operation["responses"]) == {"200", "401", "404", "408", "409", "413", "421", "422", "500", "503"}
    record = document["components"]["schemas"]["loan_approval_record"]
    age = record["properties"]["age"]
    assert (age["minimum"], age["maximum"], age["x-unit"]) == (18, 120, "years")
    assert "Age of the applicant." in age["description"]
    assert record["examples"] == [LOAN_RECORD]
    assert document["paths"]["/predict"]["post"]["requestBody"] == operation["requestBody"]


def test_everything_that_the_document_names_is_in_it(api: RunningApi) -> None:
    written = api.client.get("/openapi.json").text
    document = json.loads(written)
    names = {part.split('"')[0] for part in written.split("#/components/schemas/")[1:]}
    assert names <= set(document["components"]["schemas"])
    operations = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(set(operations)) == len(operations)


def test_the_documentation_page_is_there_without_the_internet(api: RunningApi) -> None:
    page = api.client.get("/docs")
    assert page.status_code == 200
    assert "/openapi.json" in page.text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert any(address.endswith(".js") for address in needed)
    assert all(api.client.get(address).status_code == 200 for address in needed if address.startswith("/"))
    assert not [address for address in needed if "//" in address]


def test_a_process_that_can_answer_says_so(api: RunningApi) -> None:
    assert api.client.get("/live").json() == {"status": "live"}
    ready = api.client.get("/ready")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    health = api.client.get("/health")
    assert health.status_code == 200
    summary = health.json()
    assert (summary["ready"], summary["database"], summary["registry"]) == (True, "answers", "answers")
    assert summary["use_cases"]["loan_approval"]["model_version"] == 3


def test_a_process_without_trouble_logs_none(api: RunningApi) -> None:
    assert api.answer(LOAN_RECORD)
    assert "ERROR" not in api.logged()
    assert "Traceback" not in api.logged()

"""Many records in one request: all of them answered and kept, or none."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import jsonschema  # type: ignore[import-untyped]
import pytest
from sqlalchemy import Engine, text

from modelyard.contract import TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.models.onnx.compiled import CompiledModel
from tests.services.conftest import Case, StartApi
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, loan_contract, put
from tests.services.own_postgres import OwnPostgres
from tests.services.running_api import RunningApi, wait_until

MANY = [LOAN_RECORD | {"id": number, "annual_income": 1000.0 * number} for number in range(1200)]


def ask(api: RunningApi, records: object, use_case: str = "loan_approval", **headers: str) -> httpx.Response:
    return api.client.post(f"/predict/{use_case}/batch", json=records, headers=headers)


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select count(*) from predictions")) or 0)


def test_every_record_has_its_answer_and_its_row_in_one_transaction(case: Case, raw_engine: Engine) -> None:
    response = ask(case.api, MANY, case.name)
    assert response.status_code == 200, response.text
    answers = response.json()["predictions"]
    folder = case.source.folder / case.name / "1"
    scores = CompiledModel.load(folder).scores(loan_contract().to_arrays(MANY))
    assert [answer["probability"] for answer in answers] == pytest.approx(scores[:, 1].tolist(), abs=1e-6)
    single = case.answer()
    assert all(set(answer) == set(single) for answer in answers)
    with raw_engine.connect() as connection:
        query = "select record_key, features->>'annual_income', xmin::text from predictions where request_id = any(:i)"
        ids = [uuid.UUID(answer["request_id"]) for answer in answers]
        found = connection.execute(text(query), {"i": ids}).all()
    assert {int(key): float(income) for key, income, _ in found} == {r["id"]: r["annual_income"] for r in MANY}
    assert len({transaction for *_, transaction in found}) == 1


def test_the_default_use_case_has_batches_too(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        assert api.client.post("/predict/batch", json=MANY[:2]).status_code == 200
    assert count(raw_engine) == 2


@pytest.mark.parametrize(
    ("records", "where", "words"),
    [
        ([*MANY[:3], LOAN_RECORD | {"age": -1}], ["body", "3", "age"], "record 3: age must be a whole number"),
        ([LOAN_RECORD, 5], ["body", "1"], "record 1: a record must be one JSON object, not 5"),
        ([LOAN_RECORD | {"x": 1}], ["body", "0", "x"], "record 0: 'x' is not a field"),
        (LOAN_RECORD, ["body"], "the body must be an array of JSON objects, not an object"),
        ([], ["body"], "a batch has 1 to 10000 records"),
    ],
)
def test_one_that_is_wrong_is_named_and_none_is_kept(
    case: Case, raw_engine: Engine, records: object, where: list[str], words: str
) -> None:
    response = ask(case.api, records, case.name)
    assert response.status_code == 422
    [problem] = response.json()["detail"]
    assert problem["loc"] == where
    assert problem["msg"].startswith(words)
    assert count(raw_engine) == 0


def test_too_many_are_refused(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api(api_batch_limit=10, api_batch_body_limit_bytes=100_000) as api:
        api.wait_for_version(1)
        assert ask(api, MANY[:11]).status_code == 422
        assert ask(api, MANY).status_code == 413
        assert ask(api, MANY[:10]).status_code == 200
    assert count(raw_engine) == 10


def test_a_batch_that_cannot_be_kept_is_not_answered(start_api: StartApi, own_postgres: OwnPostgres) -> None:
    url = own_postgres.url("api")
    with start_api(raw_database_url=url, api_spool_limit_mb=1) as api:
        api.wait_for_version(1)
        own_postgres.stop()
        kept = ask(api, MANY)
        assert kept.status_code == 200
        assert ask(api, MANY * 8).status_code == 503
        own_postgres.start()
        wait_until(lambda: api.spooled() == 0, api.logged)
    ids = [answer["request_id"] for answer in kept.json()["predictions"]]
    assert sorted(own_postgres.request_ids()) == sorted(ids)


def test_a_key_stands_for_a_whole_batch(case: Case, raw_engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, case.api, MANY[:500], case.name, **{"Idempotency-Key": "k"}) for _ in range(4)]
        answers = [each.result() for each in asked]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert ask(case.api, MANY[:499], case.name, **{"Idempotency-Key": "k"}).status_code == 409
    assert count(raw_engine) == 500


@pytest.mark.parametrize("kind", [TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION])
def test_every_kind_is_answered_as_documented(case: Case, kind: TaskKind, empty_postgres: Postgres) -> None:
    assert empty_postgres
    name = f"{case.name}_{kind}"
    put(case.source, 1, every_type_contract(kind, name), EVERY_RECORD)
    case.source.point(**{name: 1})
    case.api.wait_for_version(1, name)
    answer = ask(case.api, [EVERY_RECORD, EVERY_RECORD], name).json()
    document: dict[str, Any] = case.api.client.get("/openapi.json").json()
    operation = document["paths"][f"/predict/{name}/batch"]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.Draft202012Validator(schema | {"components": document["components"]}).validate(answer)
    assert len(answer["predictions"]) == 2


def test_others_are_answered_while_a_large_batch_is(case: Case) -> None:
    body = json.dumps(MANY * 8)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(
            case.api.client.post,
            f"/predict/{case.name}/batch",
            content=body,
            headers={"content-type": "application/json"},
        )
        singles = 0
        while not batch.done():
            case.answer()
            singles += 1
        assert batch.result().status_code == 200
    assert singles > 3

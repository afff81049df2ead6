"""A request that is sent twice under one Idempotency-Key: one row, and the same answer."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from services.api.log.idempotency import LONGEST_REMEMBERED
from tests.services.conftest import Case, StartApi
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.own_postgres import OwnPostgres
from tests.services.running_api import RunningApi, wait_until

TIMES = 20
MANY = 600


def ask(api: RunningApi, key: str, use_case: str = "loan_approval", **changes: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return api.client.post(f"/predict/{use_case}", json=LOAN_RECORD | changes, headers=headers)


def ask_many(api: RunningApi, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key}
    return api.client.post("/predict/loan_approval/batch", json=[LOAN_RECORD] * MANY, headers=headers)


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select count(*) from predictions")) or 0)


def test_the_same_again_is_the_same_answer_and_one_row(case: Case, raw_engine: Engine) -> None:
    first = ask(case.api, "a", case.name)
    case.promote(2, bias=1)
    second = ask(case.api, "a", case.name)
    assert first.status_code == second.status_code == 200
    assert first.content == second.content
    assert first.json()["model_version"] == 1
    assert count(raw_engine) == 1


def test_another_body_under_the_same_key_is_refused(case: Case, raw_engine: Engine) -> None:
    ask(case.api, "a", case.name)
    response = ask(case.api, "a", case.name, age=36)
    assert response.status_code == 409
    assert response.json()["detail"] == f"the Idempotency-Key 'a' was used for another request to {case.name}"
    assert ask(case.api, "b", case.name, age=36).status_code == 200
    assert count(raw_engine) == 2


def test_each_use_case_has_keys_of_its_own(case: Case, raw_engine: Engine) -> None:
    other = Case(f"{case.name}_other", case.source, case.api)
    other.promote(1)
    assert ask(case.api, "a", case.name).status_code == ask(case.api, "a", other.name, age=36).status_code == 200
    assert count(raw_engine) == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb"])
def test_what_can_be_no_key_is_said(case: Case, key: str) -> None:
    response = ask(case.api, key, case.name)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == ["header", "Idempotency-Key"]


def test_what_was_refused_may_be_sent_again_under_its_key(case: Case) -> None:
    assert ask(case.api, "a", case.name, age=-1).status_code == 422
    assert ask(case.api, "a", case.name).status_code == 200


def test_at_the_same_time_in_one_process(case: Case, raw_engine: Engine) -> None:
    with ThreadPoolExecutor(TIMES) as pool:
        answers = list(pool.map(lambda _: ask(case.api, "a", case.name), range(TIMES)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert answers[0].status_code == 200
    assert count(raw_engine) == 1


def test_at_the_same_time_in_two_processes(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api() as one, start_api() as other:
        one.wait_for_version(1)
        other.wait_for_version(1)
        for number in range(TIMES):
            with ThreadPoolExecutor(4) as pool:
                asked = [pool.submit(ask, api, f"{number}") for api in (one, other, one, other)]
            answers = [each.result() for each in asked]
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.content for answer in answers}) == 1
        assert ask(one, "0", age=36).status_code == ask(other, "0", age=36).status_code == 409
    assert count(raw_engine) == TIMES


def test_after_a_restart(start_api: StartApi, source: FolderSource, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        first = ask(api, "a")
    put(source, 2, loan_contract(), LOAN_RECORD, bias=1)
    source.point(loan_approval=2)
    with start_api() as api:
        api.wait_for_version(2)
        assert ask(api, "a").content == first.content
        assert ask(api, "a", age=36).status_code == 409
    assert count(raw_engine) == 1


def test_for_the_stated_time_and_no_longer(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api(api_idempotency_seconds=1) as api:
        api.wait_for_version(1)
        first = ask(api, "a").json()
        time.sleep(1.2)
        second = ask(api, "a", age=36).json()
        assert first["request_id"] != second["request_id"]
        assert ask(api, "a", age=36).json() == second
    assert count(raw_engine) == 2


def test_while_the_database_is_away(start_api: StartApi, own_postgres: OwnPostgres) -> None:
    url = own_postgres.url("api")
    with start_api(raw_database_url=url) as api:
        api.wait_for_version(1)
        before = ask(api, "before")
        own_postgres.stop()
        assert ask(api, "before").content == before.content
        during = ask(api, "during")
        assert ask(api, "during").content == during.content
        assert ask(api, "during", age=36).status_code == 409
        many = ask_many(api, "many")
        assert len(many.content) > LONGEST_REMEMBERED
        assert ask_many(api, "many").content == many.content
    with start_api(raw_database_url=url) as api:
        wait_until(lambda: "of a process that has ended" in api.logged(), api.logged)
        wait_until(lambda: api.spooled() == 1 + MANY)
        assert ask(api, "during").content == during.content
        assert ask(api, "during", age=36).status_code == 409
        assert ask_many(api, "many").content == many.content
        own_postgres.start()
        wait_until(lambda: api.spooled() == 0, api.logged)
        assert ask(api, "before").content == before.content
        assert ask(api, "during").content == during.content
    kept = {answer["request_id"] for answer in [before.json(), during.json(), *many.json()["predictions"]]}
    assert sorted(own_postgres.request_ids()) == sorted(kept)

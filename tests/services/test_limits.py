"""How much the API takes on, from whom, and what it tells of itself."""

import hashlib
import http.client
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from tests.services.conftest import Case, StartApi
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import RunningApi, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACE_PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def numbers(api: RunningApi, name: str) -> dict[str, float]:
    """A metric's values by their labels."""
    found = re.findall(rf"^{name}(\{{.*\}})? (\S+)$", api.client.get("/metrics").text, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_too_many_at_once_are_turned_away_and_told_when_to_come_again(
    start_api: StartApi, admin_raw_engine: Engine
) -> None:
    with start_api(api_concurrency_limit=5) as api, ThreadPoolExecutor(8) as pool:
        api.wait_for_version(1)
        with admin_raw_engine.begin() as connection:
            connection.execute(text("lock table predictions in share mode"))
            asked = [pool.submit(api.predict, LOAN_RECORD) for _ in range(8)]
            wait_until(lambda: sum(each.done() for each in asked) == 3, api.logged)
            refused = next(each.result() for each in asked if each.done())
            assert refused.status_code == 503
            assert refused.json()["detail"] == "5 requests are being answered already (API_CONCURRENCY_LIMIT)"
            assert refused.headers["retry-after"] == "1"
            # Whoever asks how it is must hear it above all then.
            assert api.client.get("/live").status_code == api.client.get("/ready").status_code == 200
        assert sorted(each.result().status_code for each in asked) == [200] * 5 + [503] * 3
        assert api.answer(LOAN_RECORD)


def test_a_client_that_sends_nothing_is_not_waited_for(start_api: StartApi) -> None:
    with start_api(api_request_seconds=0.5) as api:
        api.wait_for_version(1)
        with socket.create_connection(("127.0.0.1", api.port)) as slow:
            head = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            slow.sendall(head + b"Content-Length: 9\r\n\r\n{")
            started = time.monotonic()
            answer = slow.recv(1000)
        assert answer.startswith(b"HTTP/1.1 503")
        assert 0.4 < time.monotonic() - started < 10


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
def test_only_who_has_a_key_is_answered_when_there_are_keys(start_api: StartApi, header: str) -> None:
    hashes = ",".join(hashlib.sha256(key).hexdigest() for key in (b"first", b"second"))
    bearer = "Bearer " if header == "Authorization" else ""
    with start_api(api_keys=hashes) as api:
        wait_until(lambda: api.client.get("/ready").status_code == 200, api.logged)
        for given, status in ((None, 401), ("wrong", 401), ("-", 401), ("first", 200), ("second", 200)):
            headers = {} if given is None else {header: f"{bearer}{given}"}
            response = api.client.post("/predict", json=LOAN_RECORD, headers=headers)
            assert response.status_code == status, given
            assert api.client.get("/info", headers=headers).status_code == status
        assert api.client.get("/live").status_code == 200
        assert "first" not in api.logged()


def test_pages_of_other_sites_are_not_let_in(case: Case) -> None:
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    response = case.api.client.options(f"/predict/{case.name}", headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_every_request_is_counted_by_what_became_of_it(case: Case) -> None:
    case.api.predict({}, case.name)
    case.api.predict(LOAN_RECORD, "no_such")
    case.answer()
    case.promote(2)
    case.answer()
    counts = numbers(case.api, "modelyard_request_duration_seconds_count")
    of_case = {labels: count for labels, count in counts.items() if f'"{case.name}"' in labels}
    assert of_case == {
        f'{{model_version="1",outcome="invalid",use_case="{case.name}"}}': 1,
        f'{{model_version="1",outcome="answered",use_case="{case.name}"}}': 1,
        f'{{model_version="2",outcome="answered",use_case="{case.name}"}}': 1,
    }
    assert counts['{model_version="",outcome="not_found",use_case=""}'] >= 1
    assert numbers(case.api, "modelyard_model_swaps_total")[f'{{use_case="{case.name}"}}'] == 2
    assert numbers(case.api, "modelyard_model_version")[f'{{use_case="{case.name}"}}'] == 2
    age = time.time() - numbers(case.api, "modelyard_model_loaded_timestamp_seconds")[f'{{use_case="{case.name}"}}']
    assert 0 <= age < 60
    assert numbers(case.api, "modelyard_spool_rows") == {"": 0}
    assert numbers(case.api, "modelyard_processes_without_database") == {"": 0}


TRACE_STATES = [("tracestate", "one=1"), ("tracestate", "two=2")]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict/{}", LOAN_RECORD, 200),
        ("/predict/{}", LOAN_RECORD | {"age": -1}, 422),
        ("/predict/{}/batch", [LOAN_RECORD], 200),
        ("/predict/{}/batch", [], 422),
        ("/predict/no_such_{}", LOAN_RECORD, 404),
        ("/no_such_path_{}", None, 404),
    ],
)
def test_the_trace_context_is_passed_on(case: Case, path: str, body: object, status: int) -> None:
    headers = [("traceparent", TRACE_PARENT), *TRACE_STATES]
    response = case.api.client.post(path.format(case.name), json=body, headers=headers)
    assert response.status_code == status
    assert response.headers["traceparent"] == TRACE_PARENT
    assert response.headers.get_list("tracestate") == ["one=1", "two=2"]


@pytest.mark.parametrize(
    "parents",
    [
        (),
        ("",),
        (TRACE_PARENT.upper(),),
        (f"ff{TRACE_PARENT[2:]}",),
        (f"{TRACE_PARENT}-01",),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01",),
        (f"00-{TRACE}-{'0' * 16}-01",),
        (TRACE_PARENT, TRACE_PARENT),
    ],
)
def test_what_is_no_trace_context_is_ignored(case: Case, parents: tuple[str, ...]) -> None:
    headers = [*(("traceparent", parent) for parent in parents), *TRACE_STATES]
    response = case.api.client.post(f"/predict/{case.name}", json=LOAN_RECORD, headers=headers)
    assert response.status_code == 200
    assert not {"traceparent", "tracestate"} & set(response.headers)


def test_who_is_turned_away_at_the_door_keeps_the_trace_context(start_api: StartApi) -> None:
    with start_api(api_keys=hashlib.sha256(b"key").hexdigest()) as api:
        response = api.client.post("/predict", json=LOAN_RECORD, headers={"traceparent": TRACE_PARENT})
        assert response.status_code == 401
        assert response.headers["traceparent"] == TRACE_PARENT


def lines(api: RunningApi) -> list[dict[str, object]]:
    return [json.loads(line) for line in api.logged().splitlines() if line.startswith("{")]


def test_the_log_is_json_with_what_a_request_was_when_asked_for(start_api: StartApi) -> None:
    with start_api(api_log_format="json", api_log_requests=True, api_log_rejected=True) as api:
        api.wait_for_version(1)
        answered = api.client.post("/predict", json=LOAN_RECORD, headers={"traceparent": TRACE_PARENT})
        assert answered.headers["traceparent"] == TRACE_PARENT
        rejected = api.client.post("/predict", json=LOAN_RECORD | {"age": -1}, headers={"traceparent": TRACE_PARENT})
        assert rejected.headers["traceparent"] == TRACE_PARENT
        wait_until(lambda: any(line.get("status") == 422 for line in lines(api)), api.logged)
        assert all(line["level"] and line["time"] and line["message"] for line in lines(api))
        [first] = [line for line in lines(api) if line.get("status") == 200]
        assert (first["trace_id"], first["use_case"], first["model_version"]) == (TRACE, "loan_approval", "1")
        [second] = [line for line in lines(api) if line.get("status") == 422]
        assert second["request_id"] == rejected.headers["x-request-id"]
        assert "age must be a whole number" in str(second["message"])


def test_what_was_rejected_is_not_logged_unasked(case: Case) -> None:
    case.api.predict(LOAN_RECORD | {"age": -12345}, case.name)
    case.answer()
    assert "-12345" not in case.api.logged()


def test_clients_that_leave_take_nothing_with_them(case: Case) -> None:
    def leave() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", case.api.port)
        connection.request(
            "POST", f"/predict/{case.name}", json.dumps(LOAN_RECORD), {"Content-Type": "application/json"}
        )
        connection.close()

    threads = [threading.Thread(target=leave) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert case.answer()
    # The one that asks.
    wait_until(lambda: numbers(case.api, "modelyard_requests_in_flight")[""] == 1, case.api.logged)

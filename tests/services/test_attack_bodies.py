"""Requests that do not end, or do not begin: they take bounded memory, and others are answered meanwhile."""

import http.client
import json
import resource
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from benchmarks.attacks import MEGABYTE, Watch, ask, connections, head
from modelyard.embedded.postgres import Postgres
from services.api.limits.bodies import GRACE_SECONDS
from services.api.limits.connections import LONGEST_HEAD_BYTES, MOST_HEADERS, MOST_IDLE
from tests.services.conftest import Case, StartApi
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import peak_memory_mb, wait_until

JSON = {"Content-Type": "application/json"}
RECORD = json.dumps(LOAN_RECORD).encode()
MOST_MEMORY_MB = 600
# Of a machine that tests share. Without the bounds it is the 30 seconds of API_REQUEST_SECONDS.
MOST_WAITED_MS = 15_000


@contextmanager
def predictions_are_answered(case: Case) -> Iterator[None]:
    """Checks that others get predictions while the block runs, and that the process has stayed small at its end."""
    watch = Watch(case.api, "POST", f"/predict/{case.name}", RECORD)
    watch.start()
    yield
    assert case.answer()
    assert watch.stop().worst_ms < MOST_WAITED_MS
    assert peak_memory_mb(case.api.process.pid) < MOST_MEMORY_MB


def answers(opened: list[socket.socket], at_least: int) -> list[bytes]:
    """The beginnings of what came back on some connections, once it is so many."""
    wait_until(lambda: len(_readable(opened)) >= at_least)
    return [each.recv(10_000) for each in _readable(opened)]


def _readable(opened: list[socket.socket]) -> list[socket.socket]:
    poll = select.poll()
    for each in opened:
        poll.register(each, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(0)}
    return [each for each in opened if each.fileno() in ready]


def test_unfinished_batches_stay_within_the_budget(case: Case) -> None:
    nearly = head(f"/predict/{case.name}/batch", 32_000_000) + b"[" + b" " * 31_000_000
    with predictions_are_answered(case), connections(case.api.port, 20, nearly) as opened:
        # Two fit into one client's half of the budget.
        said = answers(opened, at_least=18)
    assert all(answer.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in answer.lower() for answer in said)
    assert any(b"bytes of bodies are held of 127.0.0.1 already" in answer for answer in said)


def test_what_has_begun_is_not_being_answered(case: Case) -> None:
    begun = head(f"/predict/{case.name}", 100) + b"{"
    with predictions_are_answered(case), connections(case.api.port, 1000, begun) as opened:
        # Half of API_CONCURRENCY_LIMIT may wait for one client; where sending took long, some have waited long enough.
        said = [answer[:12] for answer in answers(opened, at_least=500)]
        assert set(said) <= {b"HTTP/1.1 503", b"HTTP/1.1 408"}
        assert 0 < said.count(b"HTTP/1.1 503") <= 500


def test_the_budget_is_given_back(case: Case) -> None:
    nearly = head(f"/predict/{case.name}/batch", 32_000_000) + b"[" + b" " * 31_000_000
    for _ in range(3):
        with connections(case.api.port, 2, nearly):
            pass
        wait_until(lambda: case.api.client.post(f"/predict/{case.name}/batch", content=whole()).status_code == 422)


def whole() -> Iterator[bytes]:
    """Two megabytes of a batch, bit by bit."""
    for _ in range(20):
        yield b" " * 100_000


def test_a_body_that_hardly_comes_is_ended(case: Case) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", case.api.port)) as slow:
        slow.sendall(head(f"/predict/{case.name}", 100) + b"{")
        slow.settimeout(60)
        # All that comes until the server closes the connection.
        answer = b"".join(iter(lambda: slow.recv(10_000), b""))
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"the body comes at less than" in answer
    assert time.monotonic() - started > GRACE_SECONDS - 0.5


def test_a_body_in_pieces_is_read(case: Case) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", case.api.port)
    pieces = iter([RECORD[:10], RECORD[10:50], RECORD[50:]])
    connection.request(
        "POST", f"/predict/{case.name}", pieces, {"Content-Type": "application/json"}, encode_chunked=True
    )
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("sent", [b"", b"GET /live HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_connections_that_ask_nothing_keep_nobody_out(case: Case, sent: bytes) -> None:
    with predictions_are_answered(case), connections(case.api.port, MOST_IDLE + 1200, sent):
        for _ in range(20):
            assert case.api.client.get("/live").status_code == 200


def test_a_process_with_few_files_takes_new_connections_for_old_ones(start_api: StartApi) -> None:
    with ExitStack() as stack:
        with few_files():
            api = stack.enter_context(start_api())
        api.wait_for_version(1)
        with connections(api.port, 600, b""):
            # Not on the connection that this test has.
            assert ask(api.port, "POST", "/predict", RECORD, JSON) == 200


@contextmanager
def few_files() -> Iterator[None]:
    """A process that is started in the block may not have many files open."""
    own = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, own[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own)


LONG_HEADS = {
    "a header": b"GET /live HTTP/1.1\r\nX: " + b"a" * 10 * MEGABYTE,
    "headers": b"GET /live HTTP/1.1\r\n" + b"a: b\r\n" * 1_000_000,
    "an address": b"GET /" + b"a" * 10 * MEGABYTE,
    "trailers": head("/predict", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"0\r\n"
    + b"a: b\r\n" * 1_000_000,
    "an extension": head("/predict", 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    + b"1;"
    + b"a" * 10 * MEGABYTE,
    "requests": b"GET /metrics HTTP/1.1\r\n\r\n" * 400_000,
}


@pytest.mark.parametrize("name", LONG_HEADS)
def test_what_has_no_end_is_not_kept(case: Case, name: str) -> None:
    before = peak_memory_mb(case.api.process.pid)
    with predictions_are_answered(case), connections(case.api.port, 10, LONG_HEADS[name]) as opened:
        for each in opened:
            assert_ends(each)
    assert peak_memory_mb(case.api.process.pid) - before < 100


def assert_ends(connection: socket.socket) -> None:
    """The server closes it."""
    connection.settimeout(60)
    with suppress(ConnectionError):
        while connection.recv(1_000_000):
            pass


def test_an_ordinary_head_may_be_long(case: Case) -> None:
    headers = {"Cookie": "a" * (LONGEST_HEAD_BYTES // 2)} | {f"X-{number}": "a" for number in range(MOST_HEADERS - 20)}
    assert case.api.client.get("/live", headers=headers).status_code == 200
    too_many = headers | {f"Y-{number}": "a" for number in range(30)}
    assert case.api.client.get("/live", headers=too_many).status_code == 400


@pytest.mark.parametrize("path", ["/live", "/ready", "/health", "/no_such_path"])
def test_a_body_that_nobody_reads_is_not_taken(case: Case, path: str) -> None:
    assert case.api.client.post(path, content=b"a" * 100_000).status_code == 413
    assert case.api.client.post(path, content=whole()).status_code == 413
    assert case.api.client.request("GET", path, content=b"{}").status_code in (200, 404)


def test_answers_that_nobody_fetches_are_not_kept(case: Case) -> None:
    batch = json.dumps([LOAN_RECORD] * 10_000).encode()
    asked = head(f"/predict/{case.name}/batch", len(batch), "Idempotency-Key: unfetched\r\n") + batch
    assert case.api.client.post(
        f"/predict/{case.name}/batch",
        content=batch,
        headers={"Content-Type": "application/json", "Idempotency-Key": "unfetched"},
    ).content
    with predictions_are_answered(case), connections(case.api.port, 0, b"") as opened:
        for _ in range(150):
            each = socket.socket()
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            each.connect(("127.0.0.1", case.api.port))
            opened.append(each)
            with suppress(OSError):
                each.sendall(asked)
        for each in opened:
            each.close()


def test_a_client_in_a_hurry_may_send_requests_one_after_the_other(case: Case) -> None:
    with socket.create_connection(("127.0.0.1", case.api.port)) as connection:
        connection.sendall(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 5)
        connection.settimeout(60)
        said = b""
        while said.count(b'{"status":"live"}') < 5:
            said += connection.recv(10_000)


def test_a_limit_of_one_request_still_answers(start_api: StartApi, empty_postgres: Postgres) -> None:
    assert empty_postgres
    with start_api(api_concurrency_limit=1) as api:
        api.wait_for_version(1)
        response = api.client.post("/predict", content=iter([RECORD[:9], RECORD[9:]]), headers=JSON)
        assert response.status_code == 200

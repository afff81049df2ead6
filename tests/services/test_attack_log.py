"""However many bad requests come, the log stays short, and says how many lines it left out."""

import logging
import socket
from pathlib import Path

from services.api.logs import MOST_OF_A_KIND, FewOfAKind
from tests.services.conftest import Case, StartApi
from tests.services.made_models import LOAN_RECORD
from tests.services.running_api import RunningApi, wait_until

MANY = 300
JSON = {"Content-Type": "application/json"}


def lines(api: RunningApi, words: str) -> int:
    return api.logged().count(words)


def send(api: RunningApi, content: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.sendall(content)
        return connection.recv(10_000)


def test_what_is_no_http_is_logged_so_many_times(case: Case) -> None:
    for _ in range(MANY):
        assert send(case.api, b"\x16\x03\x01 hello\r\n\r\n").startswith(b"HTTP/1.1 400")
    assert lines(case.api, "Invalid HTTP request") == MOST_OF_A_KIND


def test_requests_to_upgrade_are_logged_so_many_times(case: Case) -> None:
    asked = b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    for _ in range(MANY):
        send(case.api, asked)
    assert lines(case.api, "upgrade") <= 2 * MOST_OF_A_KIND


def test_failures_are_logged_so_many_times(start_api: StartApi) -> None:
    with start_api(default_use_case="nothing_there") as api:
        for _ in range(MANY):
            assert api.client.post("/predict", json=LOAN_RECORD).status_code == 503
        assert lines(api, "is not answered") == MOST_OF_A_KIND


def test_refusals_are_not_logged_unless_they_were_asked_for(start_api: StartApi) -> None:
    with start_api(api_log_rejected=True) as api:
        api.wait_for_version(1)
        for _ in range(3 * MOST_OF_A_KIND):
            assert api.client.post("/predict", content=b"[", headers=JSON).status_code == 422
        # Who switches that on wants to have them all.
        wait_until(lambda: lines(api, "is rejected") == 3 * MOST_OF_A_KIND)


def test_what_was_left_out_is_said_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    handler = logging.FileHandler(file)
    handler.addFilter(FewOfAKind(handler, period_seconds=0.2))
    logger = logging.getLogger("tests.few")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        for number in range(MOST_OF_A_KIND + 7):
            logger.warning("request %d is bad", number)
        logger.warning("another kind")
        sentence = f"7 more lines of this kind were left out, the last one: request {MOST_OF_A_KIND + 6} is bad"
        wait_until(lambda: sentence in file.read_text())
        logger.warning("a later one")
    finally:
        logger.removeHandler(handler)
        handler.close()
    written = file.read_text().splitlines()
    assert len(written) == MOST_OF_A_KIND + 3
    assert written[-1] == "a later one"

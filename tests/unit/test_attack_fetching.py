"""A server that hands out more than was agreed, or never comes to an end, and versions that cannot be taken."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelyard.errors import ServiceUnavailable, StepFailed
from modelyard.stores import fetching
from modelyard.stores.fetching import Fetching, NotFetched
from modelyard.stores.registry import Registry
from services.api.models.takes import Takes

MEGABYTE = 2**20


@contextmanager
def serving(megabytes: int, enough: threading.Event | None = None) -> Iterator[str]:
    """A server that sends so many megabytes, whatever it is asked, and does not say so beforehand."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                for _ in range(megabytes):
                    self.wfile.write(b"x" * MEGABYTE)
                if enough:
                    enough.wait(60)
            except ConnectionError:
                # Whoever asked has gone, as they should.
                pass

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_no_more_is_fetched_than_all_files_may_have_together(tmp_path: Path) -> None:
    both = Fetching(5 * MEGABYTE, 60)
    with serving(3) as url:
        assert both.fetch(url, tmp_path / "one")
        with pytest.raises(StepFailed, match=r"larger than the 5 MB \(MODEL_LIMIT_MB\)"):
            both.fetch(url, tmp_path / "other")
    assert (tmp_path / "other").stat().st_size <= 2 * MEGABYTE


def test_what_takes_too_long_is_given_up(tmp_path: Path) -> None:
    with serving(3) as url, pytest.raises(NotFetched, match="was not there after 0 s"):
        Fetching(5 * MEGABYTE, 0).fetch(url, tmp_path / "file")


def test_a_server_that_falls_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "SECONDS_BETWEEN_BYTES", 0.2)
    enough = threading.Event()
    with serving(1, enough) as url:
        with pytest.raises(NotFetched, match="timed out"):
            Fetching(5 * MEGABYTE, 60).fetch(url, tmp_path / "file")
        enough.set()


def test_the_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "DISK_RESERVE_BYTES", 2**60)
    with serving(1) as url, pytest.raises(NotFetched, match="file has no room on the disk of"):
        Fetching(5 * MEGABYTE, 60).fetch(url, tmp_path / "file")


def test_an_answer_without_end_is_no_answer() -> None:
    with serving(70) as url, pytest.raises(ServiceUnavailable, match="its answer is larger than 64 MB"):
        Registry(url).offered()


def test_what_cannot_be_taken_rests_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("services.api.models.takes.time.monotonic", lambda: now[0])
    tried: list[float] = []
    done = threading.Semaphore(0)

    def take(_use_case: str, _version: int) -> bool:
        tried.append(now[0])
        return False

    takes = Takes(take, done.release, most=1, pause_seconds=2)
    for second in range(40):
        now[0] = float(second)
        before = len(tried)
        takes.start("loans", 1)
        if is_due(second):
            assert done.acquire(timeout=60)
        assert len(tried) - before == is_due(second)
    # Another version does not wait for that.
    takes.start("loans", 2)
    assert done.acquire(timeout=60)


def is_due(second: int) -> bool:
    """After 2, 4, 8 and 16 seconds more."""
    return second in (0, 2, 6, 14, 30)


def test_no_number_of_new_use_cases_takes_the_place_of_those_that_answer() -> None:
    release, done = threading.Event(), threading.Semaphore(0)
    taken: list[str] = []

    def take(use_case: str, _version: int) -> bool:
        taken.append(use_case)
        return use_case == "loans" or release.wait(60)

    takes = Takes(take, done.release, most=3, pause_seconds=2)
    for number in range(100):
        takes.start(f"new_{number}", 1, spared=1)
    takes.start("loans", 2)
    assert done.acquire(timeout=60)
    assert "loans" in taken
    assert len(taken) <= 3
    release.set()
    for _ in range(2):
        assert done.acquire(timeout=60)

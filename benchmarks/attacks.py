"""What attacks do to a running API: its memory, and how long others wait meanwhile.

`python -m benchmarks.attacks`
"""

import http.client
import json
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from modelyard.embedded.postgres import embedded_postgres
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.running_api import RunningApi, peak_memory_mb, running_api

MEGABYTE = 1024 * 1024
BATCH_BYTES = 33_000_000
BATCH_PATH = "/predict/loan_approval/batch"
SINGLE_PATH = "/predict/loan_approval"
ASK_EVERY_SECONDS = 0.02
PATIENCE_SECONDS = 60
REFUSED_AT_ONCE_SECONDS = 2.0

Attack = Callable[[RunningApi], None]


class Waited(NamedTuple):
    """How long others waited for an answer, in milliseconds: half of them, and the one that waited longest."""

    median_ms: float
    worst_ms: float


class Watch(threading.Thread):
    """Asks all the time, on a connection of its own, and notes how long it waits."""

    def __init__(self, api: RunningApi, method: str, path: str, body: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._request = method, path, body, {"Content-Type": "application/json"}
        self._port = api.port
        self._seconds: list[float] = []
        self._ended = threading.Event()

    def run(self) -> None:
        """Asks until it is stopped, once at least."""
        while not self._seconds or not self._ended.wait(ASK_EVERY_SECONDS):
            started = time.monotonic()
            # Anew each time, as those do who come while the attack lasts.
            answered = ask(self._port, *self._request) == 200
            self._seconds.append(time.monotonic() - started if answered else PATIENCE_SECONDS)

    def stop(self) -> Waited:
        """Returns how long it waited."""
        self._ended.set()
        self.join()
        ordered = sorted(self._seconds)
        return Waited(ordered[len(ordered) // 2] * 1000, ordered[-1] * 1000)


def ask(port: int, method: str, path: str, body: bytes, headers: dict[str, str]) -> int | None:
    """The status of an answer; None: there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    try:
        connection.request(method, path, body or None, headers)
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()


def fill(begin: bytes, unit: bytes, end: bytes, size: int) -> bytes:
    """A body of about a size: a beginning, one thing again and again, and an end."""
    return begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end


MANY_FIELDS = b"{" + b",".join(b'"%x":0' % number for number in range(100)) + b"},"
MEGABYTE_OF_ESCAPES = fill(b'{"id":"', b"\\n", b'"},', MEGABYTE)
# Bodies that are much to read, by what is in them: how each begins, what comes again and again, how it ends.
BAD_BATCHES = {
    "empty objects": (b"[", b"{},", b"{}]"),
    "empty arrays": (b"[", b"[],", b"[]]"),
    "one text": (b'["', b"a", b'"]'),
    "one number": (b"[", b"1", b"]"),
    "one record with one field": (b"[{", b'"age":30,', b'"age":30}]'),
    "escapes": (b'[{"age":"', b"\\u0041", b'"}]'),
    "records of a megabyte of escapes": (b"[", MEGABYTE_OF_ESCAPES, b"{}]"),
    "depth": (b"", b"[", b"]"),
    "unknown fields": (b"[", MANY_FIELDS, b"{}]"),
    "spaces": (b"[", b" ", b"]"),
    "too many records": (b"[", json.dumps(LOAN_RECORD).encode() + b",", b"{}]"),
}
BAD_RECORDS = {
    "empty arrays": (b'{"age":[', b"[],", b"[]]}"),
    "empty objects": (b'{"x":[', b'{"a":{}},', b"{}]}"),
    "arrays in arrays": (b'{"age":[', b"[" * 100 + b"]" * 100 + b",", b"0]}"),
    "unknown fields": (b"{", b'"a":0,', b'"a":0}'),
    "one field again and again": (b"{", b'"age":30,', b'"age":30}'),
    "escapes": (b'{"age":"', b"\\u0041", b'"}'),
    "digits": (b'{"age":', b"1", b"}"),
    "spaces": (b"", b" ", b""),
}


def bad_batch(name: str) -> bytes:
    """A body of 33 MB."""
    return fill(*BAD_BATCHES[name], BATCH_BYTES)


def bad_record(name: str) -> bytes:
    """A body of a megabyte."""
    return fill(*BAD_RECORDS[name], MEGABYTE)


def head(path: str, length: int, more: str = "") -> bytes:
    """The head of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {length}"]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode()


@contextmanager
def connections(port: int, count: int, sent: bytes) -> Iterator[list[socket.socket]]:
    """Connections on which something was sent that is no whole request; each as far as the server takes it."""
    with ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(count)]
        for each in opened:
            each.settimeout(REFUSED_AT_ONCE_SECONDS)
            with suppress(OSError):
                each.sendall(sent)
        yield opened


def send_all(path: str, bodies: list[bytes], seconds: float) -> Attack:
    """The attack that sends all of some bodies at the same time, and again for some seconds."""

    def send_again(port: int, body: bytes, end: float) -> None:
        while ask(port, "POST", path, body, {"Content-Type": "application/json"}) and time.monotonic() < end:
            pass

    def attack(api: RunningApi) -> None:
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=send_again, args=(api.port, each, end)) for each in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return attack


def leave_open(count: int, sent: bytes, seconds: float) -> Attack:
    """The attack that leaves connections open for some seconds."""

    def attack(api: RunningApi) -> None:
        with connections(api.port, count, sent):
            time.sleep(seconds)

    return attack


def attacks() -> dict[str, Attack]:
    """All of them."""
    nearly = head(BATCH_PATH, 32_000_000) + b"[" + b" " * 31_000_000
    return {
        "one batch of 11 million empty objects": send_all(BATCH_PATH, [bad_batch("empty objects")], 3),
        "11 batches of 33 MB at once, each bad in its own way": send_all(BATCH_PATH, [*map(bad_batch, BAD_BATCHES)], 3),
        "8 records of 1 MB at once, each bad in its own way": send_all(SINGLE_PATH, [*map(bad_record, BAD_RECORDS)], 3),
        "20 batches of which 31 MB have come and 1 MB has not": leave_open(
            20, head(BATCH_PATH, 32_000_000) + nearly, 3
        ),
        "1 000 records of which one byte has come": leave_open(1000, head(SINGLE_PATH, 100) + b"{", 3),
        "1 500 connections that say nothing": leave_open(1500, b"", 3),
        "10 heads of 10 MB": leave_open(10, b"GET /live HTTP/1.1\r\n" + b"a: b\r\n" * 1_700_000, 1),
    }


def measure(api: RunningApi, attack: Attack) -> tuple[float, float, Waited, Waited]:
    """Attacks, and watches: seconds, peak of the memory in MB, how long `/live` and a prediction took meanwhile."""
    record = json.dumps(LOAN_RECORD).encode()
    watches = [Watch(api, "GET", "/live"), Watch(api, "POST", SINGLE_PATH, record)]
    for watch in watches:
        watch.start()
    started = time.monotonic()
    attack(api)
    seconds = time.monotonic() - started
    live, predicted = [watch.stop() for watch in watches]
    return seconds, peak_memory_mb(api.process.pid), live, predicted


def main() -> None:
    """Measures and prints."""
    table = Table("", "s", "peak MB", "/live, median ms", "worst", "/predict, median ms", "worst", title="Attacks")
    with tempfile.TemporaryDirectory(prefix="modelyard-bench-") as name, embedded_postgres(Path(name)) as postgres:
        source = FolderSource(Path(name) / "registry")
        put(source, 1, loan_contract(), LOAN_RECORD)
        source.point(loan_approval=1)
        arguments = ["tests.services.folder_api", str(source.folder)]
        for number, (title, attack) in enumerate(attacks().items()):
            home = Path(name) / f"home-{number}"
            with running_api(arguments, home, postgres.url("raw_data", "api"), api_request_seconds=30) as api:
                api.wait_for_version(1)
                seconds, peak, live, predicted = measure(api, attack)
            table.add_row(title, f"{seconds:.1f}", f"{peak:.0f}", *(f"{each:.0f}" for each in (*live, *predicted)))
    Console(width=140).print(table)


if __name__ == "__main__":
    main()

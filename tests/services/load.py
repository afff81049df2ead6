"""Clients that ask a running API without a pause, and remember what they were answered."""

import http.client
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.services.made_models import LOAN_RECORD

TIMEOUT_SECONDS = 30


class Load:
    """What clients were answered so far.

    Attributes:
        request_ids: Of every 200, in no order.
        versions: How many 200 each version gave.
        statuses: How often each other status came.
        lost: Requests that nothing came back for; under a key, not even when they were sent again.
        slowest_seconds: The longest that an answer took.
    """

    def __init__(self, port: int, clients: int, *, with_keys: bool = False) -> None:
        self.request_ids: list[str] = []
        self.versions: Counter[int] = Counter()
        self.statuses: Counter[int] = Counter()
        self.lost = 0
        self.slowest_seconds = 0.0
        self._port = port
        self._with_keys = with_keys
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(clients)]

    def start(self) -> None:
        """Has the clients begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Has them end, each after its answer."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Returns after so many more answers."""
        wanted = len(self.request_ids) + answers
        end = time.monotonic() + TIMEOUT_SECONDS
        while len(self.request_ids) < wanted:
            assert time.monotonic() < end, f"{len(self.request_ids)} answers, {self.statuses}, {self.lost} lost"
            time.sleep(0.01)

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_SECONDS)
        while not self._stopped.is_set():
            headers = self._headers()
            # What went out under a key may be sent again, and a client does so when nothing came back.
            if not any(self._ask(connection, headers) for _ in range(2 if self._with_keys else 1)):
                with self._lock:
                    self.lost += 1
                # Its server is dead: one request was under way, and no more are sent.
                return
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, headers: dict[str, str]) -> bool:
        """Asks once, over the connection or a new one; whether anything came back."""
        started = time.monotonic()
        try:
            connection.request("POST", "/predict/loan_approval", json.dumps(LOAN_RECORD), headers)
            response = connection.getresponse()
            self._note(response.status, json.loads(response.read()), time.monotonic() - started)
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        return True

    def _headers(self) -> dict[str, str]:
        key = {"Idempotency-Key": str(uuid.uuid4())} if self._with_keys else {}
        return {"Content-Type": "application/json", **key}

    def _note(self, status: int, content: dict[str, Any], seconds: float) -> None:
        with self._lock:
            self.slowest_seconds = max(self.slowest_seconds, seconds)
            if status == 200:
                self.request_ids.append(content["request_id"])
                self.versions[content["model_version"]] += 1
            else:
                self.statuses[status] += 1
        if status != 200:
            time.sleep(0.01)


@contextmanager
def loaded(port: int, clients: int = 8, *, with_keys: bool = False) -> Iterator[Load]:
    """Has clients ask while the block runs, each request under a key of its own or under none."""
    load = Load(port, clients, with_keys=with_keys)
    load.start()
    try:
        yield load
    finally:
        load.stop()

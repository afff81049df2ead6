"""A real API process for tests: started on a free port, asked over HTTP, stopped as an operator would."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class RunningApi:
    """An API process.

    Attributes:
        process: The process.
        client: Asks it.
        output: What it has logged goes to this file.
    """

    process: subprocess.Popen[bytes]
    client: httpx.Client
    output: Path

    def predict(self, record: object, use_case: str = "loan_approval") -> httpx.Response:
        """Asks for a prediction."""
        return self.client.post(f"/predict/{use_case}", json=record)

    def answer(self, record: object, use_case: str = "loan_approval") -> dict[str, Any]:
        """The answer to a record that has one."""
        response = self.predict(record, use_case)
        assert response.status_code == 200, response.text
        return dict(response.json())

    def health(self, use_case: str = "loan_approval") -> dict[str, Any]:
        """What it says of a use case."""
        return dict(self.client.get("/health").json()["use_cases"].get(use_case, {}))

    def wait_for_version(self, version: int, use_case: str = "loan_approval") -> None:
        """Returns when a version answers."""
        wait_until(lambda: self.health(use_case).get("model_version") == version, self.logged)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.client.base_url.port or 0

    def spooled(self) -> int:
        """How many rows its spool holds."""
        return int(self.client.get("/health").json()["spool"]["rows"])

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def stop(self) -> int:
        """Ends it as an operator would; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def logged(self) -> str:
        """What it has logged."""
        return self.output.read_text(encoding="utf-8")


@contextmanager
def running_api(arguments: list[str], home: Path, raw_database_url: str, **settings: object) -> Iterator[RunningApi]:
    """Starts an API and ends it.

    Args:
        arguments: The module to run and what it is given.
        home: Its state folder.
        raw_database_url: Where it keeps predictions.
        settings: Settings in lower case.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = free_port()
    changes = {"modelyard_home": home, "raw_database_url": raw_database_url, "api_port": port} | settings
    # On a busy machine a commit or an answer may take long; where a test is about that, it says how long.
    usual = {
        "api_poll_seconds": 0.1,
        "api_heartbeat_seconds": 0.2,
        "api_commit_seconds": 30,
        "api_request_seconds": 120,
    }
    environment = child_environment({name.upper(): str(value) for name, value in (usual | changes).items()})
    output = home / f"api-{port}.log"
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
        )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=150) as client:
        api = RunningApi(process, client, output)
        try:
            wait_until(lambda: _answers(api), api.logged)
            yield api
        finally:
            process.kill() if process.poll() is not None else process.terminate()
            process.wait(PATIENCE_SECONDS)


def wait_until(condition: Callable[[], bool], explain: Callable[[], str] = str) -> None:
    """Waits for something that must happen."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, f"it did not happen: {explain()}"
        time.sleep(0.02)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def peak_memory_mb(pid: int) -> float:
    """The most resident memory that a process has ever had."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    [kilobytes] = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
    return int(kilobytes) / 1e3


def _answers(api: RunningApi) -> bool:
    assert api.process.poll() is None, api.logged()
    try:
        return api.client.get("/live").status_code == 200
    except httpx.TransportError:
        return False

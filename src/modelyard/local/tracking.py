"""The embedded MLflow server of one home: tracking and registry, its tables in the embedded Postgres."""

import contextlib
import http.client
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]

from modelyard.errors import BadInput, StepFailed
from modelyard.local.postgres import Postgres
from modelyard.local.shared import shared
from modelyard.settings import child_environment

LOGGER = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Every process of a server carries it, with the home as value: so all of them are found, and nobody else's.
MARK = "MODELYARD_TRACKING_SERVER_OF"
USUAL_START_SECONDS = 16
START_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 20
HEALTH_TIMEOUT_SECONDS = 5
POLL_SECONDS = 0.1
# Another process may take a free port between its choice and the server's start.
PORT_ATTEMPTS = 3
PORT_TAKEN = "address already in use"
# The shell ends at once: the server is nobody's child, as it may outlive the process that started it.
DETACHED = ("/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 &')


class _Found(NamedTuple):
    """What runs of a home's server."""

    processes: list[psutil.Process]
    arguments: list[str]

    @property
    def port(self) -> int | None:
        if "--port" not in self.arguments:
            return None
        return int(self.arguments[self.arguments.index("--port") + 1])


@contextmanager
def embedded_mlflow(home: Path, postgres: Postgres, port: int | None = None) -> Iterator[str]:
    """The MLflow server of a home: started if it does not run, stopped after the last user.

    Args:
        home: The folder of all local state, absolute.
        postgres: The home's running Postgres.
        port: The port to answer on; None: any, also that of a server which runs already.

    Yields:
        The tracking URI.

    Raises:
        BadInput: The port is in use, or the home's server runs already on another one.
        StepFailed: It does not start; the message names its log.
    """
    server = _Server(home, postgres, port)
    with shared(server, home):
        yield server.uri()


def running_mlflow(home: Path, postgres: Postgres) -> str | None:
    """The tracking URI of a home's MLflow server if it runs and answers; nothing is started."""
    server = _Server(home, postgres, None)
    return server.uri() if server.is_running() else None


class _Server:
    """The processes of the MLflow server of one home, for `shared`."""

    name = "mlflow"

    def __init__(self, home: Path, postgres: Postgres, port: int | None) -> None:
        self._home = home.resolve()
        self._folder = home / "mlflow"
        self._log = home / "logs" / "mlflow.log"
        self._database = postgres.url("mlflow", role="mlflow")
        self._port = port

    def uri(self) -> str:
        """The address of the running server.

        Raises:
            BadInput: It answers on another port than the one asked for.
        """
        port = self._found().port
        if self._port not in (None, port):
            raise BadInput(
                f"the MLflow server of {self._home} runs on port {port} already, not on {self._port}: "
                "wait until what uses it is done"
            )
        return f"http://{HOST}:{port}"

    def is_running(self) -> bool:
        """Whether it answers, on this Postgres, from a port that a process of its own listens on."""
        found = self._found()
        if found.port is None or self._database not in found.arguments:
            return False
        return _listens(found.processes, found.port) and _is_healthy(found.port)

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            BadInput: The port asked for is in use.
            StepFailed: It ended at once, or does not answer.
        """
        self.stop()  # what is there does not answer, or knows a Postgres that is no more
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(exist_ok=True)
        self._log.touch()
        for _ in range(PORT_ATTEMPTS):
            said = self._launch(self._port or _free_port())
            if said is None:
                return
            if PORT_TAKEN not in said or self._port is not None:
                break
        raise StepFailed(f"MLflow does not start: {_error_line(said)} (log: {self._log})")

    def stop(self) -> None:
        """Asks all of its processes to end, and ends those that do not."""
        if not self._found().processes:
            return
        LOGGER.info("stopping MLflow")
        for process in self._found().processes:
            _signal(process.terminate)
        if self._ends_within(STOP_TIMEOUT_SECONDS):
            return
        for process in self._found().processes:
            _signal(process.kill)
        self._ends_within(STOP_TIMEOUT_SECONDS)

    def _launch(self, port: int) -> str | None:
        """Starts it on a port; None when it answers, else what it wrote into its log."""
        _check_that_it_is_free(port)
        LOGGER.info("starting MLflow on http://%s:%d, which takes about %d seconds", HOST, port, USUAL_START_SECONDS)
        log_size = self._log.stat().st_size
        changes = {
            MARK: str(self._home),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runners would take 1 GB
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        subprocess.run(
            [*DETACHED, str(self._log), *self._command(port)],
            check=True,
            cwd=self._folder,
            env=child_environment(changes),
            start_new_session=True,
        )
        return None if self._comes_up() else self._log.read_bytes()[log_size:].decode(errors="replace")

    def _command(self, port: int) -> list[str]:
        stores = ["--backend-store-uri", self._database]
        stores += ["--artifacts-destination", (self._folder / "artifacts").as_uri()]
        return [
            sys.executable,
            "-m",
            "mlflow",
            "server",
            *stores,
            "--host",
            HOST,
            "--port",
            str(port),
            "--workers",
            "1",
        ]

    def _comes_up(self) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while self._found().processes and time.monotonic() < deadline:
            if self.is_running():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _ends_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self._found().processes:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_SECONDS)
        return True

    def _found(self) -> _Found:
        processes = [
            process
            for process in psutil.process_iter(["environ", "cmdline"])
            if (process.info["environ"] or {}).get(MARK) == str(self._home)
        ]
        return _Found(processes, [argument for process in processes for argument in process.info["cmdline"] or ()])


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()


def _listens(processes: list[psutil.Process], port: int) -> bool:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    return True
    return False


def _is_healthy(port: int) -> bool:
    # Not by urllib: it would ask a proxy for this machine's own address.
    connection = http.client.HTTPConnection(HOST, port, timeout=HEALTH_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _check_that_it_is_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server does: connections that a former server closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(f"port {port} on {HOST} is in use: MLflow cannot answer there") from error


def _error_line(said: str | None) -> str:
    lines = [line.strip() for line in (said or "").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return next(reversed(errors or lines), "it said nothing")

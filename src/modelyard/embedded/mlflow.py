"""The embedded MLflow server of one home: tracking and registry, its tables in the embedded Postgres."""

import contextlib
import http.client
import logging
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from modelyard.embedded.postgres import Postgres
from modelyard.embedded.processes import free_ports
from modelyard.embedded.shared import error_line, said_since, shared, size_of, start_detached, wait_until
from modelyard.errors import BadInput, StepFailed
from modelyard.hosts import mlflow_variables

LOGGER = logging.getLogger(__name__)

HOST = "127.0.0.1"
# Every process of a server carries it, with the home as value: so all of them are found, and nobody else's.
MARK = "MODELYARD_TRACKING_SERVER_OF"
USUAL_START_SECONDS = 16
START_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 20
HEALTH_TIMEOUT_SECONDS = 5
POLL_SECONDS = 0.2
# Another process may take a free port between its choice and the server's start.
PORT_ATTEMPTS = 3
PORT_TAKEN = "address already in use"


@contextmanager
def embedded_mlflow(
    home: Path, postgres: Postgres, port: int | None = None, names: Sequence[str] = ()
) -> Iterator[str]:
    """The MLflow server of a home: started if it does not run, stopped after the last user.

    Args:
        home: The folder of all local state, absolute.
        postgres: The home's running Postgres, which must be used for as long.
        port: The port to answer on; None: any, also that of a server which runs already.
        names: Names by which it may be reached, beside localhost and addresses.

    Yields:
        The tracking URI.

    Raises:
        BadInput: The port is in use, or the home's server runs already on another one.
        StepFailed: It does not start; the message names its log.
    """
    home = home.resolve()
    server = _MlflowServer(home, postgres, port, names)
    with shared(server, home):
        yield server.uri()


def running_mlflow(home: Path) -> str | None:
    """The tracking URI of a home's server if it runs and answers; nothing is started."""
    port = MlflowProcesses(home.resolve()).answering_port()
    return None if port is None else _uri(port)


class MlflowProcesses:
    """What runs of the MLflow server of one home, whoever started it."""

    name = "mlflow"

    def __init__(self, home: Path) -> None:
        self._home = home

    def answering_port(self) -> int | None:
        """The port, if it answers, and it is a process of this server that listens there."""
        return _answering_port(self._processes())

    def stop(self) -> None:
        """Asks all of its processes to end, and ends those that do not."""
        if not self._processes():
            return
        LOGGER.info("stopping MLflow")
        if not self._end(psutil.Process.terminate):
            self._end(psutil.Process.kill)

    def _end(self, send: Callable[[psutil.Process], None]) -> bool:
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        return wait_until(lambda: not self._processes(), STOP_TIMEOUT_SECONDS)

    def _processes(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["environ"])
            if (process.info["environ"] or {}).get(MARK) == str(self._home)
        ]


class _MlflowServer(MlflowProcesses):
    """The MLflow server of one home, to be shared."""

    def __init__(self, home: Path, postgres: Postgres, port: int | None, names: Sequence[str]) -> None:
        super().__init__(home)
        self._folder = self._home / "mlflow"
        self._log = self._home / "logs" / "mlflow.log"
        self._database = postgres.url("mlflow", role="mlflow")
        self._wanted_port = port
        self._names = names

    def uri(self) -> str:
        """The address of the running server.

        Raises:
            BadInput: It answers on another port than the one asked for.
        """
        port = _port(self._processes())
        if port is None:
            raise StepFailed(f"MLflow has ended (log: {self._log})")
        if self._wanted_port not in (None, port):
            raise BadInput(
                f"the MLflow server of {self._home} runs on port {port} already, not on {self._wanted_port}: "
                "wait until what uses it is done"
            )
        return _uri(port)

    def is_running(self) -> bool:
        """Whether it answers, and keeps its tables in this Postgres."""
        processes = self._processes()
        return self._database in _arguments(processes) and _answering_port(processes) is not None

    def start(self) -> None:
        """Starts it and waits until it answers.

        Raises:
            BadInput: The port asked for is in use.
            StepFailed: It ended at once, or does not answer.
        """
        self.stop()  # what is there does not answer, or knows a Postgres that is no more
        self._folder.mkdir(parents=True, exist_ok=True)
        said = ""
        for _ in range(PORT_ATTEMPTS):
            said = self._launch(self._wanted_port or free_ports(1)[0])
            if self.is_running():
                return
            if PORT_TAKEN not in said or self._wanted_port is not None:
                break
        raise StepFailed(f"MLflow does not start: {error_line(said)} (log: {self._log})")

    def _launch(self, port: int) -> str:
        """Starts it on a port and waits until it answers or ends; what it has written into its log."""
        # Reads configuration with pydantic, which the guard has no need of.
        from modelyard.settings import child_environment

        _check_that_it_is_free(port)
        LOGGER.info("starting MLflow on %s, which takes about %d seconds", _uri(port), USUAL_START_SECONDS)
        log_size = size_of(self._log)
        changes = {
            MARK: str(self._home),
            **mlflow_variables(self._names),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # its job runners would take 1 GB
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        start_detached(self._command(port), self._log, self._folder, child_environment(changes))
        wait_until(lambda: self.is_running() or not self._processes(), START_TIMEOUT_SECONDS, every=POLL_SECONDS)
        return said_since(self._log, log_size)

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


def _uri(port: int) -> str:
    return f"http://{HOST}:{port}"


def _arguments(processes: list[psutil.Process]) -> list[str]:
    """What the processes were started with, one after the other."""
    arguments: list[str] = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            arguments += process.cmdline()
    return arguments


def _port(processes: list[psutil.Process]) -> int | None:
    arguments = _arguments(processes)
    return int(arguments[arguments.index("--port") + 1]) if "--port" in arguments else None


def _answering_port(processes: list[psutil.Process]) -> int | None:
    port = _port(processes)
    if port is None or not any(_listens(process, port) for process in processes):
        return None
    return port if _is_healthy(port) else None


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("tcp")
    except psutil.NoSuchProcess:
        return False
    return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)


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


def _check_that_it_is_free(port: int) -> None:
    with socket.socket() as probe:
        # As the server does: connections that a former server closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BadInput(f"port {port} on {HOST} is in use: MLflow cannot answer there") from error

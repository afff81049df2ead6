"""Processes of the Procfile, run under honcho for as long as somebody needs them."""

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from modelyard.embedded.shared import error_line
from modelyard.errors import BadInput, StepFailed

# Every process under honcho carries it, with the home as value; so do those that they start.
MARK = "MODELYARD_PROCESSES_OF"
# Airflow renames its processes, which would write over the environment that they are known by.
KEEP_ENVIRONMENT_READABLE = {"SPT_NOENV": "1"}
KILL_SECONDS = 5
# Airflow's DAG processor ends at the second request only, or after 5 seconds.
ASK_AGAIN_SECONDS = 2
STOPPED = re.compile(r"system\s*\| (?P<name>\S+)\.1 stopped \(rc=(?P<code>-?\d+)\)")


class MarkedProcesses:
    """What runs, or was left behind, of a home's Procfile processes and of those that they started."""

    name = "processes"

    def __init__(self, home: Path) -> None:
        self._home = home

    def stop(self) -> None:
        """Asks all of them to end, more than once, and ends those that do not."""
        kill_at = time.monotonic() + KILL_SECONDS
        while found := self._found():
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.terminate() if time.monotonic() < kill_at else process.kill()
            psutil.wait_procs(found, timeout=ASK_AGAIN_SECONDS)

    def _found(self) -> list[psutil.Process]:
        return [
            process
            for process in psutil.process_iter(["environ", "status"])
            if (process.info["environ"] or {}).get(MARK) == str(self._home)
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ]


class ProcfileProcesses(MarkedProcesses):
    """Processes of the Procfile under one honcho, for `shared`."""

    def __init__(self, home: Path, repository: Path, names: Sequence[str], environment: Mapping[str, str]) -> None:
        """Starts nothing yet.

        Args:
            home: The folder of all local state; each process has its log in `logs` there.
            repository: Where the Procfile is, and the working folder of the processes.
            names: Which of its processes.
            environment: Their whole environment.
        """
        super().__init__(home)
        self._repository = repository
        self._names = names
        self._logs = home / "logs"
        self._environment = {
            **environment,
            **KEEP_ENVIRONMENT_READABLE,
            MARK: str(home),
            "MODELYARD_LOGS": str(self._logs),
        }
        self._honcho: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Whether this honcho runs. One that was left behind is not taken over: it may run other code."""
        return self._honcho is not None

    def start(self) -> None:
        """Starts honcho, which starts the processes; ends first what was left behind."""
        super().stop()
        self._logs.mkdir(parents=True, exist_ok=True)
        for name in self._names:
            _keep_only_the_last(self._logs / f"{name}.log")
        # Without a .env file, which may be there for something else.
        command = [sys.executable, "-m", "honcho", "--no-colour", "--env", "", "start", *self._names]
        with self._log.open("w") as output:
            self._honcho = subprocess.Popen(
                command,
                cwd=self._repository,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for who started these: he stops them in good order.
                start_new_session=True,
            )

    def stop(self) -> None:
        """Ends honcho, the processes, and what they have started and left."""
        super().stop()
        if self._honcho is not None:
            self._honcho.wait()

    def check(self) -> None:
        """Makes sure that all of them run.

        Raises:
            StepFailed: One has ended, and so honcho ends the others. The message names it and its log.
        """
        ended = STOPPED.search(self._log.read_text(encoding="utf-8", errors="replace"))
        if ended:
            raise StepFailed(self._how_it_ended(ended["name"], int(ended["code"])))
        if self._honcho is None or self._honcho.poll() is not None:
            raise StepFailed(f"honcho has ended (log: {self._log})")

    def _how_it_ended(self, name: str, code: int) -> str:
        log = self._logs / f"{name}.log"
        if code < 0:
            return f"{name} was ended by {signal.Signals(-code).name} (log: {log})"
        reason = error_line(log.read_text(encoding="utf-8", errors="replace"))
        return f"{name} ended with exit code {code}: {reason} (log: {log})"

    @property
    def _log(self) -> Path:
        return self._logs / "honcho.log"


def _keep_only_the_last(log: Path) -> None:
    """The log of this start begins empty; that of the start before stays beside it."""
    if log.exists():
        log.replace(log.with_suffix(".previous.log"))


def check_port_is_free(address: str, port: int, service: str, setting: str) -> None:
    """Makes sure that a service can be had on its port.

    Args:
        address: Where it is bound.
        port: The port.
        service: Its name for people.
        setting: What chooses the port.

    Raises:
        BadInput: The port is in use; the message says by what, where that can be found.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        # As servers do: connections that a former one closed a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise BadInput(
                f"port {port} for {service} is in use{_by_whom(port)}: "
                f"stop what uses it, or set {setting} to another port"
            ) from error


def _by_whom(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    return ""


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]

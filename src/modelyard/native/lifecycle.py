"""The platform as native processes, in the background: up, down, and how it stands.

    python -m modelyard.native.lifecycle

is what stays running: it holds Postgres and MLflow, and honcho with the rest, until it is told to end or one of the
processes ends by itself. Then all of them end: half a platform is not taken for a whole one.
"""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psutil
from rich.console import Console
from rich.table import Table

from modelyard.embedded.mlflow import MlflowProcesses, running_mlflow
from modelyard.embedded.postgres import PostgresServer
from modelyard.embedded.processes import MarkedProcesses, check_port_is_free
from modelyard.embedded.shared import stop_unused, wait_until
from modelyard.errors import BadInput, ModelyardError, NoSpaceLeft, StepFailed
from modelyard.logins import is_loopback
from modelyard.native.progress import Progress
from modelyard.native.runtime import (
    PLATFORM_PROCESSES,
    LockOwner,
    Ports,
    Service,
    check_same_servers,
    holder_of,
    local_platform,
    repository,
    services_of,
    with_logins,
)
from modelyard.settings import Settings, child_environment, read_settings, settings_environment

STOP_SECONDS = 120
POLL_SECONDS = 0.2
WATCH_SECONDS = 1
ERROR = "error: "


def up_local(settings: Settings) -> None:
    """Starts the platform in the background, waits until all of it answers, and shows where.

    Raises:
        BadInput: A port is in use, a login is known to everybody, or a demo runs in this home. Nothing was started.
        StepFailed: Something does not start; the message names it and its log. Nothing is left running.
    """
    holder = holder_of(settings.home)
    if holder is None:
        PostgresServer(settings.home).check_room()
        with_logins(settings)
        _check_ports(settings)
        _warn_of_open_services(settings)
        _say("starting the platform, which takes about half a minute")
        _start(settings)
    elif holder.kind == "demo":
        raise BadInput(f"a demo (process {holder.pid}) runs in {settings.home}: wait until it is done")
    else:
        check_same_servers(settings, holder)
        _say(f"the platform of {settings.home} is up already (process {holder.pid})")
    _show(settings)


def down_local(settings: Settings) -> None:
    """Stops the platform and what was left behind of one that was killed; the data stays.

    Raises:
        BadInput: A demo runs in this home.
        StepFailed: It does not end.
    """
    home = settings.home
    if not home.exists():
        _say("nothing runs")
        return
    holder = holder_of(home)
    if holder and holder.kind == "demo":
        raise BadInput(f"a demo (process {holder.pid}) runs in {home}: end it with Ctrl-C")
    if holder:
        _say(f"stopping the platform of {home}")
        _end(home, holder)
    for left in (MarkedProcesses(home), MlflowProcesses(home), PostgresServer(home)):
        stop_unused(home, left)
    _say("the platform is down; its data stays" if holder else "nothing runs")


def services_now(settings: Settings) -> list[tuple[Service, str | None]]:
    """The services of the platform of a home, each with what keeps it from working; none while it is down."""
    holder = holder_of(settings.home)
    if holder is None or holder.kind == "demo":
        return []
    return [(service, service.trouble()) for service in services_of(with_logins(settings), holder.ports)]


def hold() -> None:
    """Holds the platform until it is told to end, or one of its processes has ended."""
    settings = read_settings()
    signal.signal(signal.SIGTERM, _exit)
    ports = Ports.configured(settings)
    try:
        settings = with_logins(settings)
        with local_platform(settings, "platform", ports, PLATFORM_PROCESSES, Progress()) as platform:
            while True:
                platform.processes.check()
                time.sleep(WATCH_SECONDS)
    except ModelyardError as error:
        _say(f"{ERROR}{error}")
        sys.exit(error.exit_code)
    except OSError as error:
        _say(f"{ERROR}{NoSpaceLeft.of(error) or error}")
        sys.exit(StepFailed.exit_code)


def _exit(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def show_logins(logins: Mapping[str, str]) -> None:
    """Prints how people get in, a line for each service; outside of a table, which would cut a secret off."""
    for name, login in logins.items():
        if login:
            print(f"log into {name}: {login}")  # noqa: T201 (for people)


def _warn_of_open_services(settings: Settings) -> None:
    if not is_loopback(settings.bind_address) and not settings.api_keys:
        address = settings.bind_address
        _say(f"BIND_ADDRESS={address}: API and frontend answer whoever reaches them; API_KEYS asks for a key")


def _check_ports(settings: Settings) -> None:
    for service in services_of(settings, Ports.configured(settings)):
        if service.name != "MLflow":
            check_port_is_free(settings.bind_address, service.port, service.name, service.setting)
        # What a step has started is shared.
        elif not settings.mlflow_tracking_uri and service.url != running_mlflow(settings.home):
            check_port_is_free("127.0.0.1", service.port, service.name, service.setting)


def _start(settings: Settings) -> None:
    log = _log(settings.home)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        holder = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelyard.native.lifecycle"],
            cwd=repository(),
            env=child_environment(settings_environment(settings)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _follow(settings.home, holder)
    except BaseException:
        holder.terminate()
        holder.wait()
        raise


def _follow(home: Path, process: subprocess.Popen[bytes]) -> None:
    """Shows what the holder says until all of the platform answers."""
    with _log(home).open(encoding="utf-8") as log:
        while True:
            ended = process.poll() is not None
            holder = holder_of(home)
            for line in log:
                if line.startswith(ERROR):
                    raise StepFailed(line.strip().removeprefix(ERROR))
                _say(line.rstrip())
            if ended:
                raise StepFailed(f"the platform ended while it started (log: {_log(home)})")
            if holder and holder.healthy:
                return
            time.sleep(POLL_SECONDS)


def _end(home: Path, holder: LockOwner) -> None:
    """Ends the holder, and waits for its process and not for its lock, which it gives back a moment earlier."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(holder.pid)
        process.terminate()
        if not wait_until(lambda: _has_ended(process), STOP_SECONDS, POLL_SECONDS):
            raise StepFailed(f"the platform (process {holder.pid}) does not end (log: {_log(home)})")


def _has_ended(process: psutil.Process) -> bool:
    """Whether a process is gone; one that only waits for its parent to hear of it is."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _show(settings: Settings) -> None:
    table = Table(title="Modelyard")
    for column in ("service", "address", "health"):
        table.add_column(column)
    services = services_now(settings)
    for service, trouble in services:
        table.add_row(service.name, service.page, trouble or "healthy")
    Console(soft_wrap=True).print(table)
    show_logins({service.name: service.login for service, _ in services})
    _say(f"logs are in {settings.home / 'logs'}; `make down-local` stops it")


def _log(home: Path) -> Path:
    return home / "logs" / "platform.log"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201 (for people, like the progress)


if __name__ == "__main__":
    hold()

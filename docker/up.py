"""`make up`: builds and starts the platform, and shows where everything is, how to log in, and how it stands.

Standard library only: it runs on a machine that has Docker, make and a Python, and nothing of Modelyard installed.
"""

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

# A first loop trains three models; a slow machine takes some minutes for it.
FIRST_ANSWER_SECONDS = 1200
POLL_SECONDS = 2
LINES_OF_A_FAILURE = 8
SERVICE_OF_PORT = {
    "AIRFLOW_PORT": ("airflow-apiserver", 8080),
    "MINIO_PORT": ("minio", 9000),
    "MINIO_CONSOLE_PORT": ("minio", 9001),
    "MLFLOW_PORT": ("mlflow", 5000),
    "JUPYTER_PORT": ("jupyter", 8888),
    "API_PORT": ("api", 8086),
    "API_BALANCER_PORT": ("balancer", 8086),
    "FRONTEND_PORT": ("frontend", 8501),
}


class Gateway(NamedTuple):
    """A published port.

    Attributes:
        setting: The variable that chooses it.
        service: Whose it is.
        address: Where it listens.
        port: Its number.
    """

    setting: str
    service: str
    address: str
    port: int

    @property
    def url(self) -> str:
        """Where a browser on this machine finds it."""
        local = self.address in {"0.0.0.0", "::"}  # noqa: S104 (compared, not bound)
        return f"http://{'127.0.0.1' if local else self.address}:{self.port}"


def main() -> int:
    """Starts the platform; returns the exit code."""
    started = time.monotonic()
    configuration = compose_json("config", "--format", "json")
    doors = list(published(configuration))
    if not services_now() and (taken := list(in_use(doors))):
        return fail("; ".join(f"{door.address}:{door.port} is in use: choose another {door.setting}" for door in taken))
    if subprocess.run(["docker", "compose", "up", "--build", "--detach", "--wait"], check=False).returncode:
        return fail(f"the platform is not up:\n{why_not()}")
    say(f"all services are healthy after {time.monotonic() - started:.0f} s (images built or found)\n")
    show(configuration, doors)
    return 0 if first_answer(doors, started) else 1


def published(configuration: dict[str, Any]) -> Iterator[Gateway]:
    """The published ports of a compose configuration."""
    for setting, (service, inside) in SERVICE_OF_PORT.items():
        # One of a profile that is not asked for is not there.
        for port in configuration["services"].get(service, {}).get("ports", []):
            if port["target"] == inside:
                yield Gateway(setting, service, port.get("host_ip", "0.0.0.0"), int(port["published"]))  # noqa: S104


def in_use(doors: list[Gateway]) -> Iterator[Gateway]:
    """Those of the ports on which something else listens."""
    for door in doors:
        with socket.socket(socket.AF_INET6 if ":" in door.address else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((door.address, door.port))
            except OSError:
                yield door


def why_not() -> str:
    """The last lines of what ended badly or is unhealthy."""
    failed = [
        service
        for service, state in services_now().items()
        if state.get("Health") == "unhealthy" or (state["State"] == "exited" and state["ExitCode"])
    ]
    logs = [compose("logs", "--no-color", "--tail", str(LINES_OF_A_FAILURE), service) for service in failed]
    return "\n".join(re.sub(r"\x1b\[\w*", "", log).rstrip() for log in logs)


def show(configuration: dict[str, Any], doors: list[Gateway]) -> None:
    """Prints a table of links and health, and how to log in."""
    states = services_now()
    rows = [("service", "address", "health")]
    for door in doors:
        state = states.get(door.service, {})
        path = "/docs" if door.service in {"api", "balancer"} else ""
        rows.append((name_of(door), door.url + path, state.get("Health", "down")))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    say(f"\n{compose('run', '--rm', '--no-TTY', '--no-deps', 'secrets').rstrip()}")
    owner, writer = Path("notebooks").stat().st_uid, configuration["services"]["jupyter"]["user"].partition(":")[0]
    if str(owner) != writer:
        say(f"\nnotebooks/ belongs to user {owner}, JupyterLab writes as user {writer}: set HOST_UID and HOST_GID.")
    say("\n`make down` stops it and keeps the data.")


def name_of(door: Gateway) -> str:
    """A published port's name for people."""
    names = {
        "airflow-apiserver": "Airflow",
        "api": "API",
        "balancer": "API, balanced",
        "frontend": "Frontend",
        "jupyter": "JupyterLab",
        "minio": "MinIO (S3)",
        "mlflow": "MLflow",
    }
    return "MinIO console" if door.setting == "MINIO_CONSOLE_PORT" else names[door.service]


def first_answer(doors: list[Gateway], started: float) -> bool:
    """Waits until the API has a model, which after a first start is when the first loop has been through."""
    url = next(door.url for door in doors if door.service == "api")
    reason, told = why_not_ready(url), False
    while reason and time.monotonic() - started < FIRST_ANSWER_SECONDS:
        if not told:
            say("The first loop is on its way; the API answers when it is through (Ctrl-C stops only the waiting).")
            told = True
        time.sleep(POLL_SECONDS)
        reason = why_not_ready(url)
    if reason:
        fail(f"the API has no model after {FIRST_ANSWER_SECONDS} s ({reason}): look at the runs in Airflow")
        return False
    say(f"{url}/predict answers, {time.monotonic() - started:.0f} s after `make up`.")
    return True


def why_not_ready(url: str) -> str:
    """What keeps the API from answering predictions; empty: nothing."""
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=POLL_SECONDS) as answer:  # noqa: S310 (ours, http)
            return "" if answer.status == HTTPStatus.OK else str(answer.status)
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def services_now() -> dict[str, dict[str, Any]]:
    """The state of every service's container, by the service's name."""
    lines = compose("ps", "--all", "--format", "json").splitlines()
    return {state["Service"]: state for line in lines if line.startswith("{") for state in [json.loads(line)]}


def compose_json(*arguments: str) -> dict[str, Any]:
    """What compose says, as JSON."""
    answer: dict[str, Any] = json.loads(compose(*arguments))
    return answer


def compose(*arguments: str) -> str:
    """What compose says."""
    done = subprocess.run(["docker", "compose", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"error: docker compose {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


def say(line: str) -> None:
    """Tells people."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def fail(reason: str) -> int:
    """Tells people why not; returns the exit code."""
    sys.stderr.write(f"error: {reason}\n")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

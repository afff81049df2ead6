"""The platform as `up-local` starts it, attacked by a web page and by another user of the machine.

A page that a browser on this machine shows reaches every port of 127.0.0.1. What it knows are the sources of Modelyard.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from modelyard.embedded.processes import free_ports
from modelyard.logins import KNOWN_SECRETS
from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
PORTS = ("AIRFLOW_PORT", "MLFLOW_PORT", "JUPYTER_PORT", "API_PORT", "FRONTEND_PORT")
EVIL = "http://evil.example"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Up(NamedTuple):
    """A platform that runs.

    Attributes:
        home: Its folder of local state.
        environment: What it was started with.
        shown: What its start has shown.
    """

    home: Path
    environment: dict[str, str]
    shown: str

    def client(self, port: str, **headers: str) -> httpx.Client:
        """Asks one of its services."""
        url = f"http://127.0.0.1:{self.environment[port]}"
        return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)

    def secret(self, name: str) -> str:
        """A secret of its home."""
        return (self.home / "secrets" / name).read_text(encoding="utf-8")


def run(environment: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("modelyard")), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=REPOSITORY)


def environment_of(home: str, **changes: str) -> dict[str, str]:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    return child_environment({**ports, "MODELYARD_HOME": home, "SCHEDULES_ENABLED": "false", **changes})


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    with tempfile.TemporaryDirectory(prefix="modelyard-attacked-") as folder:
        environment = environment_of(folder)
        started = run(environment, "up-local")
        try:
            assert started.returncode == 0, started.stderr
            yield Up(Path(folder).resolve(), environment, started.stdout)
        finally:
            run(environment, "down-local")


@pytest.mark.parametrize("token", sorted(KNOWN_SECRETS))
def test_attack_a_page_that_knows_every_default_starts_no_kernel(up: Up, token: str) -> None:
    with up.client("JUPYTER_PORT", Origin=EVIL) as page:
        assert page.post("/api/kernels", params={"token": token}).is_client_error


def test_attack_a_page_without_the_token_is_not_let_in_by_its_origin(up: Up) -> None:
    with up.client("JUPYTER_PORT", Origin=EVIL) as page:
        assert page.get("/api/kernels").is_client_error
    with up.client("JUPYTER_PORT") as person:
        assert person.get("/api/kernels", params={"token": up.secret("jupyter_token")}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.evil.example"])
@pytest.mark.parametrize("port", PORTS)
def test_attack_a_name_that_is_pointed_at_this_machine_reaches_no_service(up: Up, port: str, host: str) -> None:
    with up.client(port, Host=f"{host}:{up.environment[port]}") as page:
        assert page.get("/").status_code in {403, 421}
    with up.client(port, Host=f"localhost:{up.environment[port]}") as person:
        assert person.get("/").status_code not in {403, 421}


@pytest.mark.parametrize("password", sorted(KNOWN_SECRETS))
def test_attack_no_default_password_logs_into_airflow(up: Up, password: str) -> None:
    with up.client("AIRFLOW_PORT") as page:
        login = {"username": "airflow", "password": password}
        assert page.post("/auth/token", json=login).status_code == 401


def test_the_logins_of_the_start_let_a_person_in(up: Up) -> None:
    shown = dict(line.partition(": ")[::2] for line in up.shown.splitlines() if line.startswith("log into"))
    with httpx.Client(trust_env=False, follow_redirects=True, timeout=30) as browser:
        assert browser.get(shown["log into JupyterLab"]).status_code == 200
        assert "/login" not in str(browser.get(shown["log into JupyterLab"]).url)
    user, password = shown["log into Airflow"].split(" / ")
    with up.client("AIRFLOW_PORT") as person:
        answer = person.post("/auth/token", json={"username": user, "password": password})
        assert answer.status_code == 201


def test_status_shows_the_logins_to_people_and_not_to_programs(up: Up) -> None:
    secrets = {up.secret("jupyter_token"), up.secret("airflow_password")}
    shown = run(up.environment, "status").stdout
    assert all(secret in shown for secret in secrets)
    said = run(up.environment, "status", "--json").stdout
    assert not any(secret in said for secret in secrets)


def test_attack_no_secret_is_in_an_argument_a_log_or_an_environment_that_has_no_need_of_it(up: Up) -> None:
    secrets = {up.secret("jupyter_token"), up.secret("airflow_password")}
    for process in psutil.process_iter(["cmdline", "environ"]):
        said = [*(process.info["cmdline"] or ()), *(process.info["environ"] or {}).values()]
        assert not [text for text in said if secrets & {text} or any(secret in text for secret in secrets)], process
    for log in (up.home / "logs").iterdir():
        assert not any(secret in log.read_text(errors="replace") for secret in secrets), log


def test_attack_another_user_of_the_machine_reads_nothing_of_the_home(up: Up) -> None:
    readable = [
        path
        for path in (up.home, *up.home.rglob("*"))
        if not path.is_symlink() and path.stat().st_mode & 0o066 and "postgres" not in path.parts
    ]
    assert readable == []
    assert up.home.stat().st_mode & 0o066 == 0


def test_attack_nothing_listens_where_others_reach_it(up: Up) -> None:
    ours = {int(up.environment[name]) for name in PORTS}
    listening = (c.laddr for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr)
    found = {port: address for address, port in listening if port in ours}
    assert found == dict.fromkeys(ours, "127.0.0.1")


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])  # noqa: S104
@pytest.mark.parametrize("login", [{"AIRFLOW_PASSWORD": "airflow"}, {"JUPYTER_TOKEN": "modelyard"}])
def test_attack_a_platform_with_a_known_login_does_not_start(
    tmp_path: Path, address: str, login: dict[str, str]
) -> None:
    done = run(environment_of(str(tmp_path / "home"), BIND_ADDRESS=address, **login), "up-local")
    assert done.returncode == 2
    assert f"{next(iter(login))}: everybody knows this value" in done.stderr
    assert not (tmp_path / "home" / "postgres").exists()

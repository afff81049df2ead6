"""That config.env, secrets.env and the shell reach the platform by either command. Needs compose, and no engine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from modelyard.logins import KNOWN_SECRETS
from tests.stack.platform_in_containers import REPOSITORY

pytestmark = pytest.mark.stack

PLAIN = ("docker", "compose")
BY_NAME = ("docker", "compose", "-f", "docker-compose.yaml", "--env-file", "config.env")
both_commands = pytest.mark.parametrize("command", [PLAIN, BY_NAME], ids=["plain", "by name"])


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that compose reads, to be changed."""
    for name in ("docker-compose.yaml", "config.env"):
        shutil.copy(REPOSITORY / name, tmp_path)
    shutil.copytree(REPOSITORY / "docker", tmp_path / "docker", symlinks=True)
    return tmp_path


def services(clone: Path, command: tuple[str, ...], **shell: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **shell}
    done = subprocess.run(
        [*command, "config", "--format", "json"], cwd=clone, env=environment, check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def change(clone: Path, name: str, value: str) -> None:
    file = clone / "config.env"
    lines = file.read_text(encoding="utf-8").splitlines()
    changed = [f"{name}={value}" if line.startswith(f"{name}=") else line for line in lines]
    assert changed != lines
    file.write_text("\n".join(changed), encoding="utf-8")


def port(service: dict[str, Any]) -> tuple[str, str]:
    return service["ports"][0]["host_ip"], service["ports"][0]["published"]


@both_commands
def test_without_any_change_it_is_a_laptops_platform(clone: Path, command: tuple[str, ...]) -> None:
    found = services(clone, command)
    assert port(found["api"]) == ("127.0.0.1", "8086")
    assert found["airflow-scheduler"]["environment"]["STEP_RUNNER"] == "docker"
    assert found["secrets"]["environment"]["AIRFLOW_PASSWORD"] == ""


@both_commands
def test_a_change_in_config_env_alone_takes_effect(clone: Path, command: tuple[str, ...]) -> None:
    change(clone, "API_PORT", "9086")
    change(clone, "BIND_ADDRESS", "192.0.2.1")
    change(clone, "MINIO_IMAGE", "example/minio:1")
    change(clone, "STEP_RUNNER", "process")
    change(clone, "VERSION", "9.9.9")
    found = services(clone, command)
    assert port(found["api"]) == ("192.0.2.1", "9086")
    assert found["minio"]["image"] == "example/minio:1"
    assert found["airflow-init"]["build"]["args"]["LIST"] == "airflow-process"
    assert found["airflow-scheduler"]["image"] == "modelyard-airflow-process:9.9.9"


@both_commands
def test_the_shell_wins_over_both_files(clone: Path, command: tuple[str, ...]) -> None:
    (clone / "secrets.env").write_text("AIRFLOW_PASSWORD=of-the-file\n", encoding="utf-8")
    found = services(clone, command, API_PORT="9087", AIRFLOW_PASSWORD="of-the-shell")
    assert port(found["api"])[1] == "9087"
    assert found["secrets"]["environment"]["AIRFLOW_PASSWORD"] == "of-the-shell"


@both_commands
def test_secrets_of_ones_own_replace_every_default(clone: Path, command: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, "docker/make_secrets.py"], cwd=clone, check=True, env=_no_engine())
    file = clone / "secrets.env"
    assert file.stat().st_mode & 0o777 == 0o600
    own = dict(line.split("=", 1) for line in file.read_text().splitlines())
    found = services(clone, command)["secrets"]["environment"]
    file.unlink()
    defaults = services(clone, command)["secrets"]["environment"]
    assert found.items() >= own.items()
    known = {name for name, value in found.items() if value in KNOWN_SECRETS and name.endswith("_PASSWORD")}
    assert known == set()
    assert {name for name in own if defaults[name] in KNOWN_SECRETS} == set(own)


def test_a_folder_of_use_cases_is_one_of_this_folder_also_without_a_slash(clone: Path) -> None:
    change(clone, "USE_CASES_PATH", "mine")
    mounts = {mount["target"]: mount for mount in services(clone, PLAIN)["upload"]["volumes"]}
    assert mounts["/upload/use-cases"]["source"] == str(clone / "mine")


def test_secrets_that_are_there_are_not_written_over(clone: Path) -> None:
    (clone / "secrets.env").write_text("API_PASSWORD=mine\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "docker/make_secrets.py"],
        cwd=clone,
        check=False,
        capture_output=True,
        text=True,
        env=_no_engine(),
    )
    assert done.returncode == 1
    assert "secrets.env is there already" in done.stderr
    assert (clone / "secrets.env").read_text() == "API_PASSWORD=mine\n"


def _no_engine() -> dict[str, str]:
    """A platform of another name, which has no database yet."""
    return {**os.environ, "COMPOSE_PROJECT_NAME": "modelyard-never-started"}

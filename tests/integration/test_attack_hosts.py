"""A page of a foreign site, whose name resolves to this machine by now, asks Airflow and MLflow: neither answers it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.embedded.mlflow import embedded_mlflow
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.native.airflow import airflow_environment, configure_airflow
from modelyard.settings import read_settings
from tests.rebinding import FOREIGN, ask

REPOSITORY = Path(__file__).parents[2]
OWN = "ml.example.org"
JSON = {"Content-Type": "application/json"}
AIRFLOW_PATHS = [
    ("GET", "/"),
    ("GET", "/api/v2/version"),
    ("GET", "/api/v2/dags"),
    ("GET", "/ui/config"),
    ("GET", "/execution/health"),
    ("GET", "/static/x.js"),
    ("GET", "/auth/login"),
    ("POST", "/auth/token"),
    ("GET", "/docs"),
    ("GET", "/openapi.json"),
]


@pytest.fixture(scope="module")
def airflow(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of an Airflow that is configured as the platform without Docker does it."""
    settings = read_settings(modelyard_home=tmp_path_factory.mktemp("home"))
    configure_airflow(settings, postgres, 8080, REPOSITORY)
    changes = {"ALLOWED_HOSTS": OWN, "PYTHONPATH": f"{REPOSITORY / 'src'}:{REPOSITORY}"}
    return airflow_environment(settings.home, changes)


def statuses(environment: dict[str, str], asked: list[tuple[str, str, str]]) -> list[int]:
    script = Path(__file__).with_name("ask_airflow.py")
    command = [sys.executable, str(script), json.dumps(asked)]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_airflow_tells_a_foreign_name_nothing(airflow: dict[str, str]) -> None:
    refused = [(*path, f"{FOREIGN}:8080") for path in AIRFLOW_PATHS]
    answered = [("GET", "/api/v2/version", host) for host in (OWN, "localhost:1", "10.1.2.3:8080", "[::1]:8080")]
    found = statuses(airflow, [*refused, *answered])
    assert found == [421] * len(refused) + [200] * len(answered)


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow that has one more name."""
    home = tmp_path_factory.mktemp("mlflow")
    with embedded_postgres(home) as postgres, embedded_mlflow(home, postgres, names=[OWN]) as uri:
        yield uri


# MLflow's own defaults let in the last two.
@pytest.mark.parametrize("host", [f"{FOREIGN}:8083", f"10.{FOREIGN}:8083", f"192.168.{FOREIGN}"])
def test_mlflow_tells_a_foreign_name_nothing(mlflow: str, host: str) -> None:
    for path in ("/", "/api/2.0/mlflow/experiments/search", "/ajax-api/2.0/mlflow/experiments/search"):
        assert ask(f"{mlflow}{path}", [host], headers=JSON).status == 403


@pytest.mark.parametrize("host", [OWN, f"{OWN}:8083", "localhost:1", "127.0.0.1", "10.1.2.3:8083", "[::1]:8083"])
def test_mlflow_answers_under_its_names(mlflow: str, host: str) -> None:
    assert ask(f"{mlflow}/", [host]).status == 200


def test_pages_of_mlflow_may_send_changes_from_its_names_and_from_no_other(mlflow: str) -> None:
    search, body = f"{mlflow}/ajax-api/2.0/mlflow/experiments/search", b'{"max_results": 1}'
    found = {
        origin: ask(search, ["127.0.0.1"], "POST", body, {**JSON, "Origin": origin}).status
        for origin in (f"http://{OWN}:8083", f"https://{OWN}", f"http://{FOREIGN}", f"http://{OWN}.{FOREIGN}")
    }
    assert list(found.values()) == [200, 200, 403, 403], found

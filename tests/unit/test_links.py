"""Where links to the services lead."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from modelyard.native.runtime import Ports, overview, services_of
from modelyard.settings import Settings

TRAININGS = "/#/experiments?workflowType=machine_learning"


def test_links_to_mlflow_open_on_the_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    ports = Ports.configured(Settings(_env_file=None))
    shown = json.loads(overview(services_of(Settings(_env_file=None), ports)))
    assert shown["MLflow"]["link"] == f"http://127.0.0.1:8083{TRAININGS}"
    assert shown["API"]["link"] == "http://127.0.0.1:8086/docs"
    own = Settings(_env_file=None, mlflow_tracking_uri="https://mlflow.example/")
    assert json.loads(overview(services_of(own, ports)))["MLflow"]["link"] == f"https://mlflow.example{TRAININGS}"


def test_mlflow_knows_that_address() -> None:
    package = find_spec("mlflow")
    assert package is not None
    assert package.origin is not None
    scripts = (Path(package.origin).parent / "server" / "js" / "build" / "static" / "js").glob("main.*.js")
    code = "".join(script.read_text(encoding="utf-8") for script in scripts)
    assert 'MACHINE_LEARNING="machine_learning"' in code
    assert '"workflowType"' in code

"""The API as it is started by everybody: on a real registry, with nothing but its own packages."""

import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Contract
from modelyard.embedded.postgres import Postgres
from modelyard.models.onnx.compiled import CompiledModel
from tests.services.frugal_api import ABSENT
from tests.services.made_models import LOAN_RECORD, loan_contract, write_package
from tests.services.running_api import RunningApi, free_port, running_api, wait_until


class Registered:
    """A registered model of one test's own.

    Args:
        tracking_uri: Where.
        folder: Where its packages are made.
    """

    def __init__(self, tracking_uri: str, folder: Path) -> None:
        import mlflow

        self.name = f"served_{uuid.uuid4().hex[:12]}"
        self._folder = folder
        self._client = mlflow.MlflowClient(tracking_uri)
        self._experiment = self._client.create_experiment(self.name)
        self._client.create_registered_model(self.name)

    @property
    def contract(self) -> Contract:
        """Its contract."""
        return loan_contract().model_copy(update={"use_case": self.name})

    def add(self, without: str = "", contract: Contract | None = None, **how: Any) -> int:
        """Registers a version, if need be without one of its files, or of another contract."""
        folder = self._folder / uuid.uuid4().hex
        write_package(folder, contract or self.contract, [LOAN_RECORD], **how)
        if without:
            (folder / without).unlink()
        run = self._client.create_run(self._experiment)
        self._client.log_artifacts(run.info.run_id, str(folder), "model")
        source = f"{run.info.artifact_uri}/model"
        return int(self._client.create_model_version(self.name, source, run.info.run_id).version)

    def promote(self, version: int) -> None:
        """Puts a version in production."""
        self._client.set_registered_model_alias(self.name, "production", str(version))

    def retire(self) -> None:
        """Takes it out of production, so that other tests do not serve it."""
        self._client.delete_registered_model_alias(self.name, "production")


@pytest.fixture
def registered(tracking_uri: str, tmp_path: Path) -> Iterator[Registered]:
    made = Registered(tracking_uri, tmp_path / "packages")
    yield made
    made.retire()


def start(tmp_path: Path, url: str, tracking_uri: str, **settings: Any) -> AbstractContextManager[RunningApi]:
    return running_api(
        ["tests.services.frugal_api"], tmp_path / "home", url, mlflow_tracking_uri=tracking_uri, **settings
    )


def loaded(api: RunningApi) -> set[str]:
    """The top-level packages whose compiled parts a process has mapped."""
    maps = Path(f"/proc/{api.process.pid}/maps").read_text(encoding="utf-8")
    return {name for name in (*ABSENT, "onnxruntime") if f"/site-packages/{name}/" in maps}


def test_it_serves_what_the_registry_has_with_nothing_but_its_own_packages(
    registered: Registered, tracking_uri: str, empty_postgres: Postgres, raw_engine: Engine, tmp_path: Path
) -> None:
    url = empty_postgres.url("raw_data", "api")
    with start(tmp_path, url, tracking_uri, default_use_case=registered.name) as api:
        assert api.predict(LOAN_RECORD, registered.name).status_code == 503
        registered.promote(registered.add())
        api.wait_for_version(1, registered.name)
        first = api.client.post("/predict/", json=LOAN_RECORD).json()
        assert first["model_version"] == 1
        registered.promote(registered.add(bias=1))
        api.wait_for_version(2, registered.name)
        second = api.answer(LOAN_RECORD, registered.name)
        assert second["probability"] > first["probability"]
        registered.promote(registered.add(example_off_by=0.1))
        wait_until(lambda: api.health(registered.name)["target_version"] == 3, api.logged)
        assert api.health(registered.name)["self_test"] == "failed"
        registered.promote(registered.add(without="model.onnx"))
        wait_until(lambda: api.health(registered.name)["target_version"] == 4, api.logged)
        assert "version 4 has no model.onnx in the registry" in api.health(registered.name)["detail"]
        assert api.answer(LOAN_RECORD, registered.name)["model_version"] == 2
        assert "onnxruntime" in loaded(api)
        assert not loaded(api) & set(ABSENT)
        assert "Traceback" not in api.logged()
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 3
    _check_restart_without_registry(registered, url, tmp_path, second["probability"])


def _check_restart_without_registry(registered: Registered, url: str, tmp_path: Path, probability: float) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    with start(tmp_path, url, nobody, default_use_case=registered.name) as api:
        answer = api.answer(LOAN_RECORD, registered.name)
        assert (answer["model_version"], answer["probability"]) == (2, probability)
        wait_until(lambda: nobody in api.client.get("/health").json()["registry"], api.logged)
        assert api.answer(LOAN_RECORD, registered.name)["model_version"] == 2
    cached = CompiledModel.load(tmp_path / "home" / "models" / registered.name / "2")
    cached.prove()

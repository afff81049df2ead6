"""A model in a real registry."""

import uuid
from pathlib import Path
from typing import Any

from modelyard.contract import Contract
from tests.services.made_models import LOAN_RECORD, loan_contract, write_package


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

"""The benchmark's model in a real registry, in two versions."""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.serve_model import USE_CASE
from modelyard.stores.registry import PRODUCTION


class ServedRegistry:
    """Registers packages and moves the alias.

    Args:
        tracking_uri: Where.
        packages: A folder for each version.
    """

    def __init__(self, tracking_uri: str, packages: Iterable[Path]) -> None:
        import mlflow

        self._client = mlflow.MlflowClient(tracking_uri)
        experiment = self._client.create_experiment(USE_CASE)
        self._client.create_registered_model(USE_CASE)
        for package in packages:
            run = self._client.create_run(experiment)
            self._client.log_artifacts(run.info.run_id, str(package), "model")
            self._client.create_model_version(USE_CASE, f"{run.info.artifact_uri}/model", run.info.run_id)

    def promote(self, version: int) -> None:
        """Puts a version in production."""
        self._client.set_registered_model_alias(USE_CASE, PRODUCTION, str(version))

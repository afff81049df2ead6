"""The benchmark's model in a real registry, in several versions."""

from pathlib import Path

from benchmarks.serve_model import USE_CASE
from modelyard.stores.registry import PRODUCTION


class ServedRegistry:
    """Registers a package and moves the alias.

    Args:
        tracking_uri: Where.
        package: The folder of a model.
        versions: As how many versions of its own it is registered.
    """

    def __init__(self, tracking_uri: str, package: Path, versions: int) -> None:
        import mlflow

        self._client = mlflow.MlflowClient(tracking_uri)
        experiment = self._client.create_experiment(USE_CASE)
        self._client.create_registered_model(USE_CASE)
        for _ in range(versions):
            run = self._client.create_run(experiment)
            self._client.log_artifacts(run.info.run_id, str(package), "model")
            self._client.create_model_version(USE_CASE, f"{run.info.artifact_uri}/model", run.info.run_id)

    def promote(self, version: int) -> None:
        """Puts a version in production."""
        self._client.set_registered_model_alias(USE_CASE, PRODUCTION, str(version))

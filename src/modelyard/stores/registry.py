"""The model registry: MLflow's, with one alias for the model in production and one for what the gate is judging.

All but the keeping of a training goes straight to MLflow's REST API: importing its client takes three seconds and
120 MB, which a step that moves an alias, or an API that polls and fetches three files, need not spend.
"""

import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import numpy as np
import requests
import tenacity
from pydantic import Field

from modelyard.contract import Contract, Frozen
from modelyard.errors import NothingToWorkOn, ServiceUnavailable, StepFailed
from modelyard.stores.fetching import Fetching, NotFetched, get, read_answer, send

PRODUCTION = "production"
CHALLENGER = "challenger"
# For people who look for the word: the tag of the version that has the alias `production`.
STAGE_TAG = "stage"
STAGE_PRODUCTION = "Production"
# Of a version that was trained on the records of a profile: which one.
PROFILE_TAG = "profile"
# Of a version: how the snapshot that it was trained on was parted.
SPLIT_TAG = "split"
# Of a registered model: its use case was deleted.
DELETED_TAG = "deleted"

ATTEMPTS = 4
# The largest model over a slow line.
DOWNLOAD_SECONDS = 600.0
# MLflow allows a slash, but not in every place.
FORBIDDEN_IN_METRICS = re.compile(r"[^\w\-.: ]")
LONGEST_METRIC = 250
METRICS_AT_A_TIME = 500
PAGE = 1000
NOT_FOUND = "RESOURCE_DOES_NOT_EXIST"

# How the databases below MLflow say that somebody else has just written the same.
SAID_BY_ANOTHER = re.compile(r"(?is).*(unique|duplicate)")

# Artifacts that the tracking server itself hands out, as it does unless it was told not to.
PROXIED = re.compile(r"mlflow-artifacts:/(?!/)")

# Classes that skops does not know of itself and that do nothing when they are read.
TRUSTED_TYPES = (
    "modelyard.models.calibration.Calibrated",
    "modelyard.models.derive.DerivedFeatures",
    "numpy.dtype",
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)

LOGGER = logging.getLogger(__name__)


class Training(Frozen):
    """What is kept of a training in MLflow, beside the model itself.

    Attributes:
        use_case: Name of the experiment and of the registered model.
        candidate: Name of the run.
        tags: Where the model comes from: snapshot, fingerprint, git revision.
        parameters: What it was trained with.
        metrics: How it does.
        files: Files that travel with the model, by name.
        history: What was measured after each epoch, by name.
        flavor: How MLflow keeps the fitted model.
    """

    use_case: str
    candidate: str
    tags: dict[str, str]
    parameters: dict[str, Any]
    metrics: dict[str, float]
    files: dict[str, bytes]
    history: Mapping[str, tuple[float, ...]] = Field(default_factory=dict)
    flavor: Literal["sklearn", "tensorflow"] = "sklearn"


class Version(Frozen):
    """A registered version.

    Attributes:
        number: Its number.
        run_id: The run that trained it.
        tags: What is known of it.
        aliases: Its aliases.
    """

    number: int
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()


class Offered(NamedTuple):
    """What the registry says of a use case.

    Attributes:
        production: The version in production.
        challenger: The version at the gate.
        is_deleted: Whether it was deleted. One that the registry does not list may only have been lost.
    """

    production: int | None = None
    challenger: int | None = None
    is_deleted: bool = False


class Registry:
    """Registered models and their runs on a tracking server."""

    def __init__(self, tracking_uri: str) -> None:
        self._uri = tracking_uri.rstrip("/")

    def offered(self) -> dict[str, Offered]:
        """Every registered use case, with its versions in production and at the gate."""
        found = self._ask("registered-models/search", max_results=PAGE).get("registered_models", [])
        return {model["name"]: _offered(model) for model in found}

    def in_production(self) -> dict[str, int]:
        """The version in production of every use case that has one."""
        offered = self.offered().items()
        return {name: versions.production for name, versions in offered if versions.production is not None}

    def aliased(self, use_case: str, alias: str) -> int | None:
        """The version that an alias names, if there is one."""
        model = self._ask("registered-models/get", name=use_case).get("registered_model", {})
        return _aliases(model).get(alias)

    def has_run(self, run_id: str) -> bool:
        """Whether a run is there and was not deleted."""
        run = self._ask("runs/get", run_id=run_id).get("run", {})
        return bool(run.get("info", {}).get("lifecycle_stage") == "active")

    def versions(self, use_case: str) -> list[Version]:
        """All versions of a use case, the newest first."""
        answer = self._ask("model-versions/search", filter=f"name='{use_case}'", max_results=PAGE)
        found = [_version(each) for each in answer.get("model_versions", [])]
        return sorted(found, key=lambda version: version.number, reverse=True)

    def version(self, use_case: str, number: int) -> Version:
        """One version.

        Raises:
            NothingToWorkOn: There is no such version.
        """
        answer = self._ask("model-versions/get", name=use_case, version=str(number))
        if "model_version" not in answer:
            raise NothingToWorkOn(f"{use_case} has no version {number} in the registry at {self._uri}")
        return _version(answer["model_version"])

    def download(self, use_case: str, number: int, folder: Path, names: tuple[str, ...], limit_bytes: int) -> Path:
        """Fetches files of a version into a folder, in a stream.

        Args:
            use_case: Whose version.
            number: Which.
            folder: Where they go.
            names: Which files.
            limit_bytes: How large they may be together.

        Raises:
            StepFailed: The version has no such file, they are too large, or the tracking server does not keep them.
            ServiceUnavailable: They were not to be had in time, or the disk has no room for them.
        """
        location = self._location(use_case, number)
        fetching = Fetching(limit_bytes, DOWNLOAD_SECONDS)
        for name in names:
            url = f"{self._uri}/api/2.0/mlflow-artifacts/artifacts/{quote(f'{location}/{name}')}"
            try:
                found = fetching.fetch(url, folder / name)
            except NotFetched as error:
                raise self._unavailable(error) from error
            if not found:
                raise StepFailed(f"{use_case} version {number} has no {name} in the registry at {self._uri}")
        return folder

    def _location(self, use_case: str, number: int) -> str:
        """The folder of a version among the server's artifacts.

        Whoever registers a version says where it is. Nothing is read for them from anywhere else: neither from this
        machine's disk nor, with this process's credentials, from a bucket.
        """
        answer = self._ask("model-versions/get-download-uri", name=use_case, version=str(number))
        kept_at = str(answer.get("artifact_uri", ""))
        path = PROXIED.sub("", kept_at)
        if not PROXIED.match(kept_at) or {"..", "."} & set(path.split("/")):
            raise StepFailed(
                f"{use_case} version {number} is kept at {kept_at[:200]!r}: only artifacts that the tracking server "
                "itself hands out (mlflow-artifacts:/…) are read"
            )
        return path

    def close_unfinished(self, use_case: str, fingerprint: str) -> None:
        """Marks runs of a training that was killed as killed, before the same training is done again."""
        experiment = self._experiment(use_case)
        if experiment is None:
            return
        condition = f"tags.fingerprint = '{fingerprint}' and attributes.status = 'RUNNING'"
        found = self._tell("POST", "runs/search", experiment_ids=[experiment], filter=condition)
        for run in found.get("runs", []):
            self._tell("POST", "runs/update", run_id=run["info"]["run_id"], status="KILLED", end_time=_now())

    def log(
        self, training: Training, pipeline: Any, contract: Contract, figures: Mapping[str, Any], data: Mapping[str, Any]
    ) -> tuple[str, str]:
        """Keeps a training: a run with everything that is known of it, and the model with its files.

        Args:
            training: What is known of it.
            pipeline: The fitted scikit-learn pipeline, or Keras model.
            contract: Becomes the model's signature.
            figures: Pictures by name.
            data: The frame of each part that it was trained or judged on.

        Returns:
            The run's id and the model's address.
        """
        with self._mlflow() as mlflow:
            mlflow.set_experiment(training.use_case)
            with mlflow.start_run(run_name=training.candidate, tags=training.tags) as run:
                mlflow.log_params(training.parameters)
                model = _log_model(mlflow, training, pipeline, contract)
                # After the model: MLflow would copy metrics that are there before to it, asking for each one by one.
                mlflow.log_metrics(training.metrics, model_id=model.model_id)
                _log_history(mlflow, run.info.run_id, training.history)
                for part, frame in data.items():
                    log_data(mlflow, training, contract.target.name, part, frame)
                for name, figure in figures.items():
                    mlflow.log_figure(figure, f"plots/{name}.png")
                return run.info.run_id, str(model.model_uri)

    def register(self, use_case: str, run_id: str, model_uri: str, tags: Mapping[str, str]) -> int:
        """The version of a run's model; the one that is there already, if there is one."""
        self._open(use_case)
        known = [version.number for version in self.versions(use_case) if version.run_id == run_id]
        if known:
            return known[0]
        made = self._tell(
            "POST",
            "model-versions/create",
            name=use_case,
            source=model_uri,
            run_id=run_id,
            tags=[{"key": key, "value": value} for key, value in tags.items()],
            model_id=model_uri.removeprefix("models:/"),
        )
        return int(made["model_version"]["version"])

    def _open(self, use_case: str) -> None:
        """Makes the registered model, or lets one begin anew whose deletion was begun or done."""
        model = self._ask("registered-models/get", name=use_case).get("registered_model")
        if model is None:
            self._tell("POST", "registered-models/create", name=use_case)
        elif _offered(model).is_deleted:
            self._tell("DELETE", "registered-models/delete-tag", name=use_case, key=DELETED_TAG)

    def set_alias(self, use_case: str, alias: str, number: int) -> None:
        """Points an alias at a version; with `production` moves the tag that mirrors it."""
        before = self.aliased(use_case, alias)
        self._tell("POST", "registered-models/alias", name=use_case, alias=alias, version=str(number))
        if alias == PRODUCTION:
            if before not in (None, number):
                self._tell("DELETE", "model-versions/delete-tag", name=use_case, version=str(before), key=STAGE_TAG)
            self.tag(use_case, number, {STAGE_TAG: STAGE_PRODUCTION})

    def remove_alias(self, use_case: str, alias: str) -> None:
        """Takes an alias away, if it is there."""
        if self.aliased(use_case, alias) is not None:
            self._tell("DELETE", "registered-models/alias", name=use_case, alias=alias)

    def tag(self, use_case: str, number: int, tags: Mapping[str, str]) -> None:
        """Writes tags of a version."""
        for key, value in tags.items():
            self._tell("POST", "model-versions/set-tag", name=use_case, version=str(number), key=key, value=value)

    def add_metrics(self, use_case: str, number: int, metrics: Mapping[str, float]) -> None:
        """Adds metrics to the run that a version came from. What MLflow's names must not hold becomes an underscore."""
        if not metrics:
            return
        run_id, now = self.version(use_case, number).run_id, _now()
        named = [(FORBIDDEN_IN_METRICS.sub("_", name), value) for name, value in metrics.items()]
        entries = [{"key": name[:LONGEST_METRIC], "value": value, "timestamp": now} for name, value in named]
        for start in range(0, len(entries), METRICS_AT_A_TIME):
            self._tell("POST", "runs/log-batch", run_id=run_id, metrics=entries[start : start + METRICS_AT_A_TIME])

    def delete(self, use_case: str, number: int) -> None:
        """Removes a version from the registry; its run stays."""
        self._tell("DELETE", "model-versions/delete", name=use_case, version=str(number))

    def delete_use_case(self, use_case: str) -> None:
        """Removes all versions, and the experiment with its runs.

        The name of the registered model stays, tagged: an API goes on with what a registry has lost, and ends what was
        deleted. MLflow keeps a deleted experiment and its files until `mlflow gc`: under another name, so that a use
        case of this one can begin anew.
        """
        if "registered_model" in self._ask("registered-models/get", name=use_case):
            self._tell("POST", "registered-models/set-tag", name=use_case, key=DELETED_TAG, value="true")
        for version in self.versions(use_case):
            self.delete(use_case, version.number)
        if experiment := self._experiment(use_case):
            renamed = f"{use_case} (deleted {time.time():.0f})"
            self._tell("POST", "experiments/update", experiment_id=experiment, new_name=renamed)
            self._tell("POST", "experiments/delete", experiment_id=experiment)

    def _experiment(self, use_case: str) -> str | None:
        """The id of a use case's experiment, if there is one."""
        found = self._ask("experiments/get-by-name", experiment_name=use_case).get("experiment", {})
        return None if found.get("lifecycle_stage") != "active" else str(found["experiment_id"])

    def _ask(self, route: str, **parameters: object) -> dict[str, Any]:
        """Reads; what is not there is an empty answer."""
        answer = self._call(lambda url: get(url, parameters), route)
        return {} if answer.get("error_code") == NOT_FOUND else self._checked(answer)

    def _tell(self, method: Literal["POST", "DELETE"], route: str, **content: object) -> dict[str, Any]:
        """Writes."""
        return self._checked(self._call(lambda url: send(method, url, content), route))

    def _call(self, request: Callable[[str], requests.Response], route: str) -> dict[str, Any]:
        """What the server says, be it an answer or an error of its own."""
        try:
            with request(f"{self._uri}/api/2.0/mlflow/{route}") as response:
                content = read_answer(response)
            answer = dict(json.loads(content))
            if "error_code" not in answer:
                response.raise_for_status()
        except (requests.RequestException, NotFetched, ValueError) as error:
            raise self._unavailable(error) from error
        return answer

    def _checked(self, answer: dict[str, Any]) -> dict[str, Any]:
        if "error_code" in answer:
            raise self._unavailable(answer.get("message") or answer["error_code"])
        return answer

    @contextmanager
    def _mlflow(self) -> Iterator[Any]:
        """The client, pointed at this server.

        Raises:
            ServiceUnavailable: The server does not answer, or answers that it cannot.
        """
        # The client itself would try for minutes and say it in a screenful.
        self._ask("registered-models/search", max_results=1)
        import mlflow
        from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES, MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
        from mlflow.exceptions import MlflowException

        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(ATTEMPTS)  # type: ignore[no-untyped-call]
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
        logging.getLogger("mlflow").setLevel(logging.ERROR)
        mlflow.set_tracking_uri(self._uri)
        try:
            yield mlflow
        except (MlflowException, requests.RequestException) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: object) -> ServiceUnavailable:
        reason = str(error).partition("\n")[0][:300]
        return ServiceUnavailable(f"the tracking server at {self._uri} does not answer as it should: {reason}")


def _now() -> int:
    """In milliseconds, as MLflow counts."""
    return int(time.time() * 1000)


def _aliases(model: Mapping[str, Any]) -> dict[str, int]:
    return {each["alias"]: int(each["version"]) for each in model.get("aliases", [])}


def _offered(model: Mapping[str, Any]) -> Offered:
    aliases = _aliases(model)
    is_deleted = any(tag["key"] == DELETED_TAG for tag in model.get("tags", []))
    return Offered(aliases.get(PRODUCTION), aliases.get(CHALLENGER), is_deleted)


def _version(answer: Mapping[str, Any]) -> Version:
    return Version(
        number=int(answer["version"]),
        run_id=answer.get("run_id", ""),
        tags={tag["key"]: tag["value"] for tag in answer.get("tags", [])},
        aliases=tuple(answer.get("aliases", ())),
    )


# Candidates that train side by side name the same data: when two do it first, MLflow refuses the later one.
@tenacity.retry(
    retry=tenacity.retry_if_exception_message(match=SAID_BY_ANOTHER),
    stop=tenacity.stop_after_attempt(ATTEMPTS),
    wait=tenacity.wait_random(max=0.5),
    reraise=True,
)
def log_data(mlflow: Any, training: Training, target: str, part: str, frame: Any) -> None:
    """Names a part of the snapshot as what a run was trained or judged on; its frame gives the columns."""
    snapshot = training.tags["snapshot_id"]
    with warnings.catch_warnings():
        # Of columns of whole numbers it says what a missing one would do; what models take is in their signature.
        warnings.filterwarnings("ignore", "Hint: Inferred schema", UserWarning)
        data = mlflow.data.from_pandas(frame, name=f"{training.use_case} {part}", targets=target, digest=snapshot)
    mlflow.log_input(data, context=part, tags={"snapshot_id": snapshot})


def _log_history(mlflow: Any, run_id: str, history: Mapping[str, tuple[float, ...]]) -> None:
    now = _now()
    metrics = [
        mlflow.entities.Metric(name, value, now, epoch)
        for name, values in history.items()
        for epoch, value in enumerate(values, 1)
    ]
    if metrics:
        mlflow.MlflowClient().log_batch(run_id, metrics)


def _log_model(mlflow: Any, training: Training, pipeline: Any, contract: Contract) -> Any:
    kept: dict[str, Any] = {"name": training.candidate, "signature": _signature(contract)}
    if training.flavor == "tensorflow":
        # Keras's own format: configuration and weights, nothing pickled.
        requirements = _requirements("keras", _tensorflow())
        model = mlflow.tensorflow.log_model(_without_optimizer(pipeline), **kept, pip_requirements=requirements)
    else:
        # Derived features and a calibration are steps of our own, which are read from where they are installed.
        ours = ("modelyard",) if contract.derived or contract.calibration else ()
        model = mlflow.sklearn.log_model(
            pipeline,
            **kept,
            serialization_format="skops",
            skops_trusted_types=list(TRUSTED_TYPES),
            pip_requirements=_requirements("pandas", "scikit-learn", "skops", *ours),
        )
    with TemporaryDirectory() as folder:
        for name, content in training.files.items():
            (Path(folder) / name).write_bytes(content)
        mlflow.MlflowClient().log_model_artifacts(model.model_id, folder)
    return model


def _without_optimizer(network: Any) -> Any:
    """A copy of a Keras model with its weights alone: an optimizer can have twice as many numbers, for training on."""
    copy = type(network).from_config(network.get_config())
    copy.set_weights(network.get_weights())
    return copy


def _signature(contract: Contract) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    feature = contract.features[0]
    if feature.is_image:
        pixels = TensorSpec(np.dtype(np.uint8), (-1, *feature.image_shape))
        scores = TensorSpec(np.dtype(np.float32), (-1, len(contract.target.classes)))
        return ModelSignature(inputs=Schema([pixels]), outputs=Schema([scores]))
    inputs: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.float if f.is_numeric else DataType.string, f.name) for f in contract.features
    ]
    labels = contract.target.classes
    texts = bool(labels) and isinstance(labels[0], str)
    output = DataType.string if texts else DataType.long if labels else DataType.double
    return ModelSignature(inputs=Schema(inputs), outputs=Schema([ColSpec(output, contract.target.name)]))


def _tensorflow() -> str:
    """The name under which TensorFlow is installed: there are builds with and without GPUs."""
    from importlib.metadata import packages_distributions

    return packages_distributions()["tensorflow"][0]


def _requirements(*names: str) -> list[str]:
    from importlib.metadata import version

    return [f"{name}=={version(name)}" for name in ("numpy", *names)]

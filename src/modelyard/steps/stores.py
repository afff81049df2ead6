"""What a step works with: the stores, each connected when it is first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.errors import NothingToWorkOn, ServiceUnavailable
from modelyard.home import open_home
from modelyard.settings import Settings
from modelyard.stores.database import make_engine
from modelyard.stores.looks import Looks
from modelyard.stores.objects import ObjectStore
from modelyard.stores.predictions import PredictionStore
from modelyard.stores.processes import ApiProcesses
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore
from modelyard.stores.registry import Registry
from modelyard.stores.results import StepResults
from modelyard.stores.verdicts import Verdicts
from modelyard.use_case import UseCase


@dataclass(frozen=True)
class Platform:
    """The stores of one process.

    Attributes:
        settings: This process's settings.
        raw: What came in.
        clean: What models are trained on.
        objects: Pictures and arrays.
        results: What the steps say to each other.
        verdicts: What the gate said.
        looks: How often it looked.
        processes: The API processes and what they serve.
        predictions: What they answered.
        tracking: Models, where the step asked for the tracking server.
    """

    settings: Settings
    raw: RawStore
    clean: CleanStore
    objects: ObjectStore
    results: StepResults
    verdicts: Verdicts
    looks: Looks
    processes: ApiProcesses
    predictions: PredictionStore
    tracking: Registry | None

    @property
    def registry(self) -> Registry:
        """Models.

        Raises:
            ServiceUnavailable: The step was connected without a tracking server.
        """
        if self.tracking is None:
            raise ServiceUnavailable("this step was connected without a tracking server: set MLFLOW_TRACKING_URI")
        return self.tracking


def in_loaded_profile(use_case: UseCase, results: StepResults, pipeline_run: str | None) -> UseCase:
    """The use case in the profile that the load of a pipeline run chose; else that of the newest load.

    Args:
        use_case: The use case as it is declared.
        results: What the steps left.
        pipeline_run: The pipeline run.
    """
    if not use_case.profiles:
        return use_case
    try:
        [loaded] = results.newest(use_case.name, "load", pipeline_run)
    except NothingToWorkOn:
        return use_case
    return use_case.in_profile(loaded.result.get("profile"))


@contextmanager
def connected(settings: Settings, raw_url: str, clean_url: str, tracking_uri: str | None) -> Iterator[Platform]:
    """The stores at these addresses; nothing is connected before it is used.

    Args:
        settings: This process's settings.
        raw_url: URL of `raw_data`.
        clean_url: URL of `clean_data`.
        tracking_uri: Address of the tracking server; None: the step uses none.
    """
    raw, clean = make_engine(raw_url), make_engine(clean_url)
    objects_url = settings.objects_url or str(open_home(settings.home) / "objects")
    if "://" in objects_url:
        # Only here: its library costs a step that has no pictures a tenth of a second.
        from modelyard.sources.object_store import use_object_store

        use_object_store(settings)
    try:
        yield Platform(
            settings=settings,
            raw=RawStore(raw),
            clean=CleanStore(clean),
            objects=ObjectStore(objects_url),
            results=StepResults(raw),
            verdicts=Verdicts(raw),
            looks=Looks(raw),
            processes=ApiProcesses(raw),
            predictions=PredictionStore(raw),
            tracking=Registry(tracking_uri) if tracking_uri else None,
        )
    finally:
        raw.dispose()
        clean.dispose()

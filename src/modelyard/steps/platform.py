"""What a step works with: the stores, each connected when it is first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.errors import ServiceUnavailable
from modelyard.settings import Settings
from modelyard.stores.clean import CleanStore
from modelyard.stores.database import make_engine
from modelyard.stores.predictions import PredictionStore
from modelyard.stores.processes import ApiProcesses
from modelyard.stores.raw import RawStore
from modelyard.stores.registry import Registry
from modelyard.stores.results import StepResults
from modelyard.stores.verdicts import Verdicts


@dataclass(frozen=True)
class Platform:
    """The stores of one process.

    Attributes:
        settings: This process's settings.
        raw: What came in.
        clean: What models are trained on.
        results: What the steps say to each other.
        verdicts: What the gate said.
        processes: The API processes and what they serve.
        predictions: What they answered.
        tracking: Models, where the step asked for the tracking server.
    """

    settings: Settings
    raw: RawStore
    clean: CleanStore
    results: StepResults
    verdicts: Verdicts
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
    try:
        yield Platform(
            settings=settings,
            raw=RawStore(raw),
            clean=CleanStore(clean),
            results=StepResults(raw),
            verdicts=Verdicts(raw),
            processes=ApiProcesses(raw),
            predictions=PredictionStore(raw),
            tracking=Registry(tracking_uri) if tracking_uri else None,
        )
    finally:
        raw.dispose()
        clean.dispose()

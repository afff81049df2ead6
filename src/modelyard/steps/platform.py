"""What a step works with: the stores, each connected when it is first used."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from modelyard.settings import Settings
from modelyard.stores.clean import CleanStore
from modelyard.stores.database import make_engine
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
        registry: Models.
    """

    settings: Settings
    raw: RawStore
    clean: CleanStore
    results: StepResults
    verdicts: Verdicts
    processes: ApiProcesses
    registry: Registry


@contextmanager
def connected(settings: Settings, raw_url: str, clean_url: str, tracking_uri: str) -> Iterator[Platform]:
    """The stores at these addresses; nothing is connected before it is used."""
    raw, clean = make_engine(raw_url), make_engine(clean_url)
    try:
        yield Platform(
            settings=settings,
            raw=RawStore(raw),
            clean=CleanStore(clean),
            results=StepResults(raw),
            verdicts=Verdicts(raw),
            processes=ApiProcesses(raw),
            registry=Registry(tracking_uri),
        )
    finally:
        raw.dispose()
        clean.dispose()

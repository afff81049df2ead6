"""Versions that may answer: each was loaded and has answered its example as at training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from modelyard.models.compiled import PACKAGE_FILES, CompiledModel, UnusableModel
from modelyard.stores.registry import Offered
from services.api.model_cache import ModelCache
from services.api.serving import ServedVersion


class ModelSource(Protocol):
    """Where models come from: the registry, as far as the API needs it."""

    def offered(self) -> dict[str, Offered]:
        """Every registered use case, with its versions in production and at the gate."""

    def download(self, use_case: str, number: int, folder: Path, names: tuple[str, ...]) -> Path:
        """Fetches files of a version into a folder."""


@contextmanager
def fetched(
    source: ModelSource, cache: ModelCache, use_case: str, version: int
) -> Iterator[tuple[ServedVersion, Path]]:
    """A version from the registry, and the folder with its files; they are removed unless they are put elsewhere.

    Raises:
        UnusableModel: It cannot answer; the message says why.
        ModelyardError: The registry does not give it.
        OSError: The disk does not take it.
    """
    with cache.staging(use_case) as staged:
        source.download(use_case, version, staged, PACKAGE_FILES)
        yield load_proven(use_case, version, staged), staged


def load_proven(use_case: str, version: int, folder: Path) -> ServedVersion:
    """A version from a folder.

    Raises:
        UnusableModel: It cannot be used, belongs to another use case, or answers otherwise; the message says which.
    """
    model = CompiledModel.load(folder)
    if model.contract.use_case != use_case:
        raise UnusableModel(f"its contract is that of {model.contract.use_case}, not of {use_case}")
    model.prove()
    return ServedVersion(version, model)

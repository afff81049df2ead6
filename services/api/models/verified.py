"""Versions that may answer: each was tried in a process of its own, and has answered its example as at training."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from modelyard.models.onnx.compiled import PACKAGE_FILES
from modelyard.models.onnx.verification import load_checked
from modelyard.stores.registry import Offered
from services.api.models.cache import ModelCache
from services.api.models.served import ServedVersion


class ModelSource(Protocol):
    """Where models come from: the registry, as far as the API needs it."""

    def offered(self) -> dict[str, Offered]:
        """Every registered use case, with its versions in production and at the gate."""

    def download(self, use_case: str, number: int, folder: Path, names: tuple[str, ...], limit_bytes: int) -> Path:
        """Fetches files of a version into a folder, so many bytes at most."""


class Fetcher:
    """Fetches versions from the registry and has them prove themselves.

    Args:
        source: The registry.
        cache: Where there is room for a download.
        limit_bytes: How large the files of a version may be together.
    """

    def __init__(self, source: ModelSource, cache: ModelCache, limit_bytes: int) -> None:
        self._source = source
        self._cache = cache
        self._limit_bytes = limit_bytes

    @contextmanager
    def fetched(self, use_case: str, version: int) -> Iterator[tuple[ServedVersion, Path]]:
        """A version from the registry, and the folder with its files; they are removed unless they are put elsewhere.

        Raises:
            StepFailed: It cannot answer; the message says why.
            ModelyardError: The registry does not give it.
            OSError: The disk does not take it.
        """
        with self._cache.staging(use_case) as staged:
            self._source.download(use_case, version, staged, PACKAGE_FILES, self._limit_bytes)
            yield ServedVersion(version, load_checked(staged, use_case)), staged

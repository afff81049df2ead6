"""Models of the registry, as the steps use them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.models.compiled import PACKAGE_FILES, CompiledModel
from modelyard.steps.platform import Platform


def load_compiled(platform: Platform, use_case: str, version: int) -> CompiledModel:
    """A version's compiled model.

    Raises:
        StepFailed: It cannot be used; the message says why.
        ServiceUnavailable: It cannot be fetched.
    """
    with TemporaryDirectory(prefix="modelyard-") as folder:
        return CompiledModel.load(platform.registry.download(use_case, version, Path(folder), PACKAGE_FILES))

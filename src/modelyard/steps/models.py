"""Models of the registry, as the steps use them. Whoever reaches the registry may have made them."""

from pathlib import Path
from tempfile import TemporaryDirectory

from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import PACKAGE_FILES, CompiledModel
from modelyard.models.onnx.verification import load_checked
from modelyard.steps.stores import Platform


def load_compiled(platform: Platform, use_case: str, version: int) -> CompiledModel:
    """A version's compiled model, which has proven itself.

    Raises:
        StepFailed: It cannot be used; the message says why.
        ServiceUnavailable: It cannot be fetched.
    """
    with TemporaryDirectory(prefix="modelyard-") as name:
        folder = Path(name)
        platform.registry.download(use_case, version, folder, PACKAGE_FILES, platform.settings.model_limit_bytes)
        try:
            return load_checked(folder, use_case)
        except UnusableModel as error:
            raise UnusableModel(f"{use_case} version {version} cannot be used: {error}") from error

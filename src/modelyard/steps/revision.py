"""Which code is running: for reproducing a model, and for knowing that it need not be trained again."""

import hashlib
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from modelyard.steps.extras import distributions_of
from modelyard.usecase import UseCase

# What a model depends on beside its data and parameters.
CODE = (
    "contract.py",
    "frames.py",
    "models/compile.py",
    "models/compiled.py",
    "models/derive.py",
    "models/metrics.py",
    "models/fit.py",
    "models/graph.py",
    "models/sampling.py",
    "models/seen.py",
    "models/tabular.py",
)
# A model of pictures, besides.
PICTURE_CODE = (
    "models/compile_network.py",
    "models/fit_pictures.py",
    "models/images.py",
    "models/inputs.py",
    "models/networks.py",
    "pictures.py",
)
LIBRARIES = ("numpy", "scikit-learn", "skl2onnx")


def code_fingerprint(use_case: UseCase) -> str:
    """A hash of the code and the libraries that decide how a model of this use case comes out.

    The libraries of its extra must be installed.
    """
    package = files("modelyard")
    digest = hashlib.sha256()
    for name in (*CODE, *(PICTURE_CODE if use_case.has_pictures else ())):
        digest.update((package / name).read_bytes())
    for library in (*LIBRARIES, *(distributions_of(use_case.extra) if use_case.extra else ())):
        digest.update(f"{library}=={version(library)}".encode())
    return digest.hexdigest()


def git_revision() -> str:
    """The revision of the checkout that this code runs from, or the package's version where there is none."""
    folder = str(files("modelyard"))
    try:
        found = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607 - git is where PATH says
            capture_output=True,
            text=True,
            check=True,
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return _package_version()
    return found.stdout.strip()


def _package_version() -> str:
    try:
        return version("modelyard")
    except PackageNotFoundError:
        return "unknown"

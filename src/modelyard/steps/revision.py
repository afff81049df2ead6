"""Which code is running: for reproducing a model, and for knowing that it need not be trained again."""

import hashlib
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

# What a model depends on beside its data and parameters.
CODE = (
    "contract.py",
    "frames.py",
    "models/compile.py",
    "models/derive.py",
    "models/evaluate.py",
    "models/fit.py",
    "models/sampling.py",
    "models/seen.py",
    "models/tabular.py",
)
LIBRARIES = ("numpy", "scikit-learn", "skl2onnx")


@cache
def code_fingerprint() -> str:
    """A hash of the code and the libraries that decide how a model comes out."""
    package = files("modelyard")
    digest = hashlib.sha256()
    for name in CODE:
        digest.update((package / name).read_bytes())
    for library in LIBRARIES:
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

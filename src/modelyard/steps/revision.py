"""Which code is running: for reproducing a model, and for knowing that it need not be trained again."""

import hashlib
import json
import subprocess
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

from modelyard.steps.extras import PACKAGE, distributions_of
from modelyard.steps.outside_code import imported_by, outside_code, versions_of
from modelyard.use_case import Candidate, UseCase

# What a model depends on beside its data and parameters.
CODE = (
    "contract.py",
    "frames.py",
    "models/calibration.py",
    "models/compile.py",
    "models/compiled.py",
    "models/cross_validation.py",
    "models/derive.py",
    "models/metrics.py",
    "models/fit.py",
    "models/graph.py",
    "models/intervals.py",
    "models/reliability.py",
    "models/sampling.py",
    "models/seen.py",
    "models/significance.py",
    "models/tabular.py",
    "objective.py",
    "split.py",
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


def code_fingerprint(use_case: UseCase, candidate: Candidate) -> str:
    """A hash of the code and the libraries that decide how a model of this use case comes out.

    The libraries are those that this package's part of it imports, those of the candidate's estimator and of the use
    case's extra, which must be installed, and whatever these require. Where the estimator is no library's, its module
    and what that imports count by their content.
    """
    package, module = files(PACKAGE), candidate.estimator.rpartition(".")[0]
    names = {*CODE, *(PICTURE_CODE if use_case.has_pictures else ()), *_own_file(module)}
    own = {name: (package / name).read_bytes() for name in names}
    outside = outside_code({module}.union(*map(imported_by, own.values())))
    extra = distributions_of(use_case.extra) if use_case.extra else ()
    libraries = versions_of([*outside.distributions, *extra])
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in [*own.items(), *outside.files.items()]}
    return hashlib.sha256(json.dumps([hashes, libraries], sort_keys=True).encode()).hexdigest()


def _own_file(module: str) -> tuple[str, ...]:
    """The file of an estimator that is this package's."""
    name = module.removeprefix(f"{PACKAGE}.").replace(".", "/") + ".py"
    return (name,) if module.startswith(f"{PACKAGE}.") and (files(PACKAGE) / name).is_file() else ()


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
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"

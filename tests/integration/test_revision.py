"""What a training's fingerprint knows of the code, where that takes TensorFlow or another process."""

import importlib
import os
import subprocess
import sys
from importlib.resources import files
from types import ModuleType

import pytest

from modelyard.catalog import find_use_case
from modelyard.steps.outside_code import imported_by, outside_code, versions_of
from modelyard.steps.revision import CODE, PICTURE_CODE, code_fingerprint
from modelyard.use_case import UseCase

# Shows a model or names what is wrong, and has no part in how it comes out; or is the declaration itself.
OTHER = {"errors.py", "models/images/fitted_scores.py", "models/evaluation/plots.py", "use_case.py"}


def used_by(name: str) -> set[str]:
    """The files of this package that a module needs, itself among them."""
    found: set[str] = set()
    waiting = [importlib.import_module(name)]
    while waiting:
        module = waiting.pop()
        file = module.__name__.removeprefix("modelyard.").replace(".", "/") + ".py"
        if file in found or file in OTHER:
            continue
        found.add(file)
        names = {getattr(value, "__module__", "") or "" for value in vars(module).values()}
        names |= {value.__name__ for value in vars(module).values() if isinstance(value, ModuleType)}
        waiting += [sys.modules[each] for each in names if each.startswith("modelyard.")]
    return found


def test_all_code_that_a_model_of_a_table_comes_from_is_in_the_fingerprint() -> None:
    assert used_by("modelyard.models.fit") <= set(CODE)


def test_all_code_that_a_model_of_pictures_comes_from_is_in_the_fingerprint() -> None:
    assert used_by("modelyard.models.images.fit") | used_by("modelyard.models.images.architectures") <= {
        *CODE,
        *PICTURE_CODE,
    }


def fingerprint(use_case: str) -> str:
    found = find_use_case(use_case)
    return code_fingerprint(found, found.candidates[0])


def libraries_of(use_case: UseCase) -> set[str]:
    names = {*CODE, *(PICTURE_CODE if use_case.has_pictures else ())}
    modules = set[str]().union(*(imported_by((files("modelyard") / name).read_bytes()) for name in names))
    return set(versions_of(outside_code(modules).distributions))


def test_all_libraries_that_a_model_comes_from_are_in_the_fingerprint() -> None:
    tables, pictures = libraries_of(find_use_case("iris")), libraries_of(find_use_case("skin_cancer"))
    wanted = {"numpy", "scipy", "pandas", "scikit-learn", "joblib", "threadpoolctl", "onnx", "skl2onnx", "onnxruntime"}
    assert wanted <= tables
    assert {"keras", "tf2onnx"} <= pictures - tables
    assert not {"fastapi", "mlflow-skinny", "matplotlib"} & (tables | pictures)


def test_a_model_of_pictures_follows_from_libraries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("iris"), fingerprint("skin_cancer")
    monkeypatch.setattr("modelyard.steps.revision.distributions_of", lambda _: ["pytest"])
    assert fingerprint("iris") == before[0]
    assert fingerprint("skin_cancer") != before[1]


ASKS = """
from modelyard.steps.revision import code_fingerprint
from modelyard.catalog import find_use_case
iris = find_use_case("iris")
print(code_fingerprint(iris, iris.candidates[0]))
"""


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    own_order = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", ASKS], env=own_order, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint("iris")

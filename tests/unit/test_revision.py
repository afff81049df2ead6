"""What a training's fingerprint knows of the code."""

import importlib
import sys
from importlib.resources import files
from types import ModuleType

import pytest

from modelyard.steps.revision import CODE, PICTURE_CODE, code_fingerprint
from modelyard.usecase import find_use_case

# Shows a model or names what is wrong, and has no part in how it comes out; or is the declaration itself.
OTHER = {"errors.py", "models/kept_scores.py", "models/plots.py", "usecase.py"}


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
    assert used_by("modelyard.models.fit_pictures") | used_by("modelyard.models.images") <= {*CODE, *PICTURE_CODE}


def test_a_model_of_pictures_follows_from_libraries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    table, pictures = find_use_case("iris"), find_use_case("skin_cancer")
    before = code_fingerprint(table), code_fingerprint(pictures)
    monkeypatch.setattr("modelyard.steps.revision.distributions_of", lambda _: ["keras"])
    assert code_fingerprint(table) == before[0]
    assert code_fingerprint(pictures) != before[1]


def test_all_that_is_named_is_there() -> None:
    assert all((files("modelyard") / name).is_file() for name in (*CODE, *PICTURE_CODE))

"""What a training's fingerprint knows of the code."""

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from types import ModuleType

import pytest

from modelyard.catalog import find_use_case
from modelyard.steps import outside_code as outside_code_module
from modelyard.steps.outside_code import imported_by, outside_code, versions_of
from modelyard.steps.revision import CODE, PICTURE_CODE, code_fingerprint
from modelyard.use_case import UseCase

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
    assert used_by("modelyard.models.images.fit") | used_by("modelyard.models.images.architectures") <= {
        *CODE,
        *PICTURE_CODE,
    }


def libraries_of(use_case: UseCase) -> set[str]:
    names = {*CODE, *(PICTURE_CODE if use_case.has_pictures else ())}
    modules = set[str]().union(*(imported_by((files("modelyard") / name).read_bytes()) for name in names))
    return set(versions_of(outside_code(modules).distributions))


def test_all_libraries_that_a_model_comes_from_are_in_the_fingerprint() -> None:
    tables, pictures = libraries_of(find_use_case("iris")), libraries_of(find_use_case("skin_cancer"))
    wanted = {"numpy", "scipy", "pandas", "scikit-learn", "joblib", "threadpoolctl", "onnx", "skl2onnx", "onnxruntime"}
    assert wanted <= tables
    assert {"keras", "tf2onnx", "pillow"} <= pictures - tables
    assert not {"fastapi", "mlflow-skinny", "matplotlib"} & (tables | pictures)


def test_a_model_of_pictures_follows_from_libraries_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint("iris"), fingerprint("skin_cancer")
    monkeypatch.setattr("modelyard.steps.revision.distributions_of", lambda _: ["pytest"])
    assert fingerprint("iris") == before[0]
    assert fingerprint("skin_cancer") != before[1]


def fingerprint(use_case: str, estimator: str | None = None) -> str:
    found = find_use_case(use_case)
    candidate = found.candidates[0]
    return code_fingerprint(found, candidate.model_copy(update={"estimator": estimator or candidate.estimator}))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules and libraries are found in."""
    monkeypatch.syspath_prepend(str(tmp_path))
    outside_code_module._providers.cache_clear()
    yield tmp_path
    outside_code_module._providers.cache_clear()


def install(site: Path, name: str, version: str, *requirements: str) -> None:
    """Installs a version of a library, in the place of the one before: a package and what its installer writes."""
    for old in site.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    (site / name).mkdir(exist_ok=True)
    (site / name / "__init__.py").touch()
    about = site / f"{name}-{version}.dist-info"
    about.mkdir()
    needs = "".join(f"Requires-Dist: {each}\n" for each in requirements)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}", "utf-8")
    (about / "RECORD").write_text(f"{name}/__init__.py,,\n", "utf-8")


def test_the_estimators_library_and_all_that_it_requires_are_in_the_fingerprint(site: Path) -> None:
    install(site, "branches", "1.0")
    install(site, "unused", "1.0")
    install(site, "trees", "1.0", "branches>=1", "unused; extra == 'more'", "not-installed")
    seen = [fingerprint("iris", "trees.models.Tree"), fingerprint("iris", "sklearn.dummy.DummyClassifier")]
    install(site, "unused", "2.0")
    assert [fingerprint("iris", "trees.models.Tree"), fingerprint("iris", "sklearn.dummy.DummyClassifier")] == seen
    install(site, "branches", "1.1")
    other_requirement = fingerprint("iris", "trees.models.Tree")
    install(site, "trees", "1.1", "branches>=1")
    other_library = fingerprint("iris", "trees.models.Tree")
    assert len({seen[0], other_requirement, other_library}) == 3
    assert fingerprint("iris", "sklearn.dummy.DummyClassifier") == seen[1]


def test_an_estimator_of_ones_own_is_in_the_fingerprint_with_all_that_it_imports(site: Path) -> None:
    install(site, "branches", "1.0")
    (site / "mine").mkdir()
    files_of_mine = {
        "mine/__init__.py": "",
        "mine/models.py": "import helper",
        "helper.py": "def f():\n import branches",
    }
    for name, content in files_of_mine.items():
        (site / name).write_text(content, "utf-8")
    seen = [fingerprint("iris", "mine.models.Tree")]
    for name, content in files_of_mine.items():
        (site / name).write_text(f"{content}\n# changed", "utf-8")
        seen.append(fingerprint("iris", "mine.models.Tree"))
    install(site, "branches", "1.1")
    seen.append(fingerprint("iris", "mine.models.Tree"))
    assert len(set(seen)) == 5
    assert "mine" not in sys.modules


def test_a_library_that_is_edited_where_it_lies_is_in_the_fingerprint_with_its_content(site: Path) -> None:
    install(site, "trees", "1.0")
    (site / "trees-1.0.dist-info" / "direct_url.json").write_text(
        '{"url": "", "dir_info": {"editable": true}}', "utf-8"
    )
    before = fingerprint("iris", "trees.Tree")
    (site / "trees" / "__init__.py").write_text("# changed", "utf-8")
    assert fingerprint("iris", "trees.Tree") != before


def test_an_estimator_that_is_not_there_is_for_the_training_to_name() -> None:
    assert fingerprint("iris", "nowhere.at.all.Tree")


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


def test_all_that_is_named_is_there() -> None:
    assert all((files("modelyard") / name).is_file() for name in (*CODE, *PICTURE_CODE))

"""What a training's fingerprint knows of the code."""

import shutil
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest

from modelyard.catalog import find_use_case
from modelyard.steps import outside_code as outside_code_module
from modelyard.steps.revision import CODE, PICTURE_CODE, code_fingerprint


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


def test_all_that_is_named_is_there() -> None:
    assert all((files("modelyard") / name).is_file() for name in (*CODE, *PICTURE_CODE))

"""The site of the documentation: strict when it is built, whole, and without anything from elsewhere."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.services.browsers import headless_browser, needs_browser

REPOSITORY = Path(__file__).parents[2]
BUILDER = REPOSITORY / ".tools" / "docs" / "bin" / "sphinx-build"
PATIENCE_SECONDS = 240

pytestmark = pytest.mark.skipif(not BUILDER.exists(), reason="what builds the pages is not installed: run `make docs`")

MODULE = '''"""A module."""
from typing import NamedTuple


def told() -> None:
    """Is documented."""


def untold() -> None:
    pass


class Values(NamedTuple):
    """Values.

    Attributes:
        told: Is documented.
    """

    told: int
    hidden: int
'''
PAGE = """# Faults

[gone](gone.md), [no such heading](#nowhere), ![no such picture](gone.png), ![of others](https://example.org/tracker.png)

```mermaid
flowchart LR
    nobody --> drew
```

```{eval-rst}
.. automodule:: faulty
```
"""
FAULTS = {
    "a dead link": "gone.md",
    "a dead link to a heading": "nowhere",
    "a picture that is not there": "gone.png",
    "a picture of another server": "docs/index.html: https://example.org/tracker.png",
    "a diagram without a drawing": "`make diagrams` draws it",
    "a function without a docstring": "faulty.untold is public, and has no docstring",
    "a field without a word": "faulty.Values.hidden is public, and its class's docstring does not name it",
    "a name that a use case imports": "modelyard.use_case.Gate is imported by a notebook or a use case",
    "a page that nothing leads to": "document isn't included in any toctree",
}


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Builds as `make docs` does."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    [line] = [line for line in makefile.splitlines() if "/bin/sphinx-build" in line]
    options = line.split("/bin/sphinx-build ")[1].split(" -c ")[0].split()
    paths = ("-c", REPOSITORY / "docs" / "site", "-d", target / "doctrees", source, target / "site")
    places = [str(path) for path in paths]
    return subprocess.run(
        [BUILDER, *options, *places],
        cwd=source,
        env=os.environ | {"PYTHONPATH": str(source)},
        check=False,
        text=True,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built."""
    target = tmp_path_factory.mktemp("built")
    done = build(REPOSITORY, target)
    assert done.returncode == 0, done.stderr
    return target / "site"


@pytest.fixture(scope="module")
def said_of_faults(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the build says of a page that has all the faults it should find."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "docs").mkdir()
    (folder / "use_cases").mkdir()
    (folder / "faulty.py").write_text(MODULE, encoding="utf-8")
    (folder / "docs" / "index.md").write_text(PAGE, encoding="utf-8")
    (folder / "docs" / "python.md").write_text("# Python\n", encoding="utf-8")
    (folder / "use_cases" / "own.py").write_text("from modelyard.use_case import Gate\n", encoding="utf-8")
    done = build(folder, folder / "built")
    assert done.returncode != 0
    return done.stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_build(said_of_faults: str, fault: str) -> None:
    assert FAULTS[fault] in said_of_faults


def test_what_is_documented_fails_nothing(said_of_faults: str) -> None:
    assert "faulty.told" not in said_of_faults
    assert "Values.told" not in said_of_faults


def test_the_pages_have_what_is_filled_in_when_they_are_built(site: Path) -> None:
    pages = {
        name: (site / "docs" / f"{name}.html").read_text(encoding="utf-8")
        for name in ("architecture", "openapi", "python")
    }
    assert pages["architecture"].count("<svg") >= 5
    assert "/predict/loan_approval" in pages["openapi"]
    assert 'id="modelyard.use_case.UseCase"' in pages["python"]


@needs_browser
def test_a_browser_fetches_nothing_from_elsewhere(site: Path) -> None:
    with headless_browser() as browser:
        page = browser.new_page()
        asked: list[str] = []
        failures: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        for file in sorted(site.rglob("*.html")):
            page.goto(file.as_uri(), wait_until="load")
    assert asked
    assert [url for url in asked if not url.startswith((site.as_uri(), "data:"))] == []
    assert failures == []

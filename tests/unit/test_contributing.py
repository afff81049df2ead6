"""What contributors are given: hooks that run the checks, forms that the code host can read, types in the wheel."""

import re
from pathlib import Path

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

REPOSITORY = Path(__file__).parents[2]
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def checks() -> list[str]:
    """The commands of `make check`."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = re.search(r"^check: .*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert recipe
    return [line.strip().removeprefix("@").replace("$(CHECK)", ".tools/check") for line in recipe[1].splitlines()]


def test_the_hooks_run_the_checks_and_fetch_nothing_else() -> None:
    [repository] = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    assert repository["repo"] == "local"
    first, *hooks = repository["hooks"]
    assert first["entry"] == "make .tools/check/.installed"
    assert [hook["entry"].removeprefix("env ") for hook in hooks] == checks()
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}


@pytest.mark.parametrize("file", [form for form in FORMS if form.stem != "config"], ids=lambda file: file.stem)
def test_a_form_asks_questions_that_have_names(file: Path) -> None:
    form = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    asked = [question for question in form["body"] if question["type"] != "markdown"]
    assert len({question["id"] for question in asked}) == len(asked) > 0
    assert all(question["attributes"]["label"] for question in asked)


def test_the_wheel_says_that_it_is_typed_and_has_its_statements() -> None:
    names = {file.distribution_path for file in WheelBuilder(str(REPOSITORY)).recurse_included_files()}
    assert "modelyard/py.typed" in names
    assert "modelyard/stores/sql/add_predictions.sql" in names
    assert not [name for name in names if not name.startswith("modelyard/")]


def test_nothing_for_contributors_gets_into_an_image() -> None:
    named = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in named
    assert [line for line in named if line.startswith(("!.", "!docs", "!tests", "!CON", "!SEC", "!CHANGE"))] == []

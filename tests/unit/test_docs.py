"""What the documents say to type can be typed."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from modelyard.catalog import read_catalog
from modelyard.cli import app

REPOSITORY = Path(__file__).parents[2]
PRINCIPLES = REPOSITORY / "docs" / "mlops-principles.md"
ROW = re.compile(r"^\| ([CP]\d) \|.*\| `([^`]+)` \|$", re.MULTILINE)
PROGRAMS = {"curl", "git", "ls", "python"}


def shown() -> dict[str, str]:
    return dict(ROW.findall(PRINCIPLES.read_text(encoding="utf-8")))


def verbs() -> set[str]:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))


def test_all_nine_components_and_principles_are_shown_by_a_command() -> None:
    assert set(shown()) == {f"{letter}{number}" for letter in "CP" for number in range(1, 10)}


@pytest.mark.parametrize("command", sorted(set(shown().values())))
def test_a_command_exists(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        assert arguments[0] in verbs()
    elif program == ".venv/bin/modelyard":
        typer.main.get_command(app).commands[arguments[0]].make_context(arguments[0], list(arguments[1:]))  # type: ignore[attr-defined]
    elif program in PROGRAMS:
        assert all((REPOSITORY / word).exists() for word in arguments if re.match(r"\w+/", word))
    else:
        assert (REPOSITORY / program).exists(), program
    if "--use-case" in arguments:
        assert arguments[arguments.index("--use-case") + 1] in read_catalog().use_cases


def test_what_is_said_to_be_missing_is_missing() -> None:
    text = PRINCIPLES.read_text(encoding="utf-8")
    monitored = "monitor" in typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert monitored != ("There is no `monitor_model` DAG" in text)


@pytest.mark.parametrize("file", [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")], ids=lambda f: f.name)
def test_a_link_of_a_document_leads_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", file.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (file.parent / link).exists()] == []

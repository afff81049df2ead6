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
PROGRAMS = {"curl", "git", "ls", "python", ".venv/bin/python"}


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


PAGES = [
    *REPOSITORY.glob("*.md"),
    *(REPOSITORY / "docs").rglob("*.md"),
    *(REPOSITORY / ".github").rglob("*.md"),
    *(REPOSITORY / "use_cases").glob("*.md"),
]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """What links into a page may name, as code hosts make it from headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_link_of_a_document_leads_somewhere(page: Path) -> None:
    links = [(path, anchor) for path, anchor in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in path]
    targets = [((page.parent / path if path else page), anchor) for path, anchor in links]
    assert [target for target, _ in targets if not target.exists()] == []
    assert [(target.name, anchor) for target, anchor in targets if anchor and anchor not in anchors(target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_block_that_begins_also_ends(page: Path) -> None:
    """What follows an open one would be shown as code."""
    rest = FENCE.sub("", page.read_text(encoding="utf-8"))
    assert "```" not in rest
    assert re.search(r"^\|.*\|$", "\n".join(FENCE.findall(page.read_text(encoding="utf-8"))), re.MULTILINE) is None


def test_the_readme_begins_with_what_most_people_want() -> None:
    """The main job, the proof that the clone works, and the two ways to start the platform."""
    first = FENCE.findall((REPOSITORY / "README.md").read_text(encoding="utf-8"))[0]
    assert re.findall(r"^make ([a-z-]+) ", first, re.MULTILINE) == ["demo", "test", "up-local", "up"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_verb_of_make_that_a_document_names_exists(page: Path) -> None:
    named = re.findall(r"(?:`|^)make ([a-z][a-z-]*)(?=[`\s])", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) - verbs() == set()

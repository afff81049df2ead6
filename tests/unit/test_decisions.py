"""Every decision is in the index, and all have one form."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
DECISIONS = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
ROW = re.compile(r"^\| (\d+) \| \[(.+)\]\((.+\.md)\) \| (.+?) \| (\d{4}-\d\d-\d\d) \| (.+) \|$", re.MULTILINE)
HEADINGS = ["Context", "Decision", "Consequences"]
MORE_HEADINGS = [[], ["Tried"], ["Measured"], ["Tried", "Measured"]]
STATUS = re.compile(r"accepted|proposed|superseded by \[\d+\]\(\d{4}-[\w-]+\.md\)")


def rows() -> list[tuple[str, ...]]:
    return ROW.findall((FOLDER / "README.md").read_text(encoding="utf-8"))


def test_the_index_has_every_decision_once_in_its_order() -> None:
    assert [file for _, _, file, *_ in rows()] == [path.name for path in DECISIONS]


def test_the_index_has_no_row_of_another_form() -> None:
    table = [line for line in (FOLDER / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert len(table) == len(rows()) + 2


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[2])
def test_a_row_says_what_its_page_says(row: tuple[str, ...]) -> None:
    number, title, file, status, _, line = row
    assert (FOLDER / file).read_text(encoding="utf-8").splitlines()[0] == f"# {number}. {title}"
    assert file.startswith(f"{int(number):04d}-")
    assert STATUS.fullmatch(status)
    assert line.endswith(".")


@pytest.mark.parametrize("page", DECISIONS, ids=lambda path: path.name)
def test_a_decision_has_the_headings_of_all(page: Path) -> None:
    found = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert found[:3] == HEADINGS
    assert found[3:] in MORE_HEADINGS

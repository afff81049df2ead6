"""The glossary can be searched by eye, and is found from where readers begin."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
TERMS = re.findall(
    r"^\| \*\*(.+?)\*\* \| \S", (REPOSITORY / "docs" / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE
)


def test_terms_are_in_alphabetical_order_and_there_once() -> None:
    assert TERMS
    assert sorted(set(TERMS), key=str.lower) == TERMS


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_a_first_page_leads_to_the_glossary(page: str) -> None:
    assert "glossary.md)" in (REPOSITORY / page).read_text(encoding="utf-8")

"""The navigation: the lists of the first page, and every decision. So it is written once, and reads well unbuilt."""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

DECISIONS = "docs/decisions/README"
SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)
ENTRY = re.compile(r"^- \[(.+?)\]\(([\w./-]+\.md)\)", re.MULTILINE)


def add_navigation(app: Sphinx, page: str, text: list[str]) -> None:
    """Adds trees of pages to the two pages that list others.

    Args:
        app: Says which page is the first one.
        page: The page that was read.
        text: Its text, in a list of one.
    """
    if page == app.config.root_doc:
        text[0] = "\n\n".join([text[0], *_trees(text[0])])
    elif page == DECISIONS:
        text[0] += "\n\n" + _tree(":glob:", ["[0-9]*"])


def _trees(text: str) -> Iterator[str]:
    for head, body in SECTION.findall(text):
        entries = [f"{title} </{_from_root(path)}>" for title, path in ENTRY.findall(body)]
        if entries:
            yield _tree(f":caption: {head}", entries)


def _from_root(path: str) -> str:
    return path.removeprefix("../") if path.startswith("../") else f"docs/{path}"


def _tree(option: str, entries: list[str]) -> str:
    return "\n".join(["```{toctree}", ":hidden:", option, "", *entries, "```"])


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.connect("source-read", add_navigation)
    return {"parallel_read_safe": True}

"""Pages load nothing from elsewhere: a script, style, picture or font of another server fails the build."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

# What a browser fetches by itself. A link that a reader follows is none of it.
FETCHED = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
OUTSIDE = re.compile(r"(?:^|[\s,])(?:[a-z]+:)?//", re.IGNORECASE)
STYLE = re.compile(r"(?:url\(\s*|@import\s+)['\"]?(?:[a-z]+:)?//[^'\")\s;]*", re.IGNORECASE)


class Fetches(HTMLParser):
    """Finds what a page has a browser fetch from another server.

    Attributes:
        found: The addresses.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Looks at an element."""
        addresses = [value for name, value in attrs if name in FETCHED.get(tag, ()) and value]
        styles = [value for name, value in attrs if name == "style" and value]
        self.found += [address for address in addresses if OUTSIDE.search(address)]
        self.found += [address for style in styles for address in STYLE.findall(style)]

    def handle_data(self, data: str) -> None:
        """Looks at a text, which may be a style sheet."""
        if self.lasttag == "style":
            self.found += STYLE.findall(data)


def fetched_from_elsewhere(folder: Path) -> Iterator[str]:
    """What pages and style sheets in a folder fetch from other servers: a line for each, with the file."""
    for file in sorted(folder.rglob("*.html")):
        page = Fetches()
        page.feed(file.read_text(encoding="utf-8"))
        yield from (f"{file.relative_to(folder)}: {address}" for address in page.found)
    for file in sorted(folder.rglob("*.css")):
        found = STYLE.findall(file.read_text(encoding="utf-8"))
        yield from (f"{file.relative_to(folder)}: {address}" for address in found)


def check_pages(app: Sphinx, failure: Exception | None) -> None:
    """Fails the build if a page fetches something from another server.

    Raises:
        SphinxError: One does; the message says which, and what.
    """
    if failure is None and (found := list(fetched_from_elsewhere(Path(app.outdir)))):
        raise SphinxError("pages load from other servers, and must not:\n" + "\n".join(found))


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.connect("build-finished", check_pages)
    return {"parallel_read_safe": True}

"""Puts the drawing of a Mermaid block into the page. The code host draws the same block itself."""

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.site.drawings import drawing_of

VIEW_BOX = re.compile(r'viewBox="\S+ \S+ ([\d.]+)')


class Diagram(SphinxDirective):  # type: ignore[misc]
    """A block of Mermaid: its drawing, as part of the page, so that its words can be selected and found."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """The drawing.

        Raises:
            DirectiveError: There is none of this source.
        """
        file = drawing_of("\n".join(self.content))
        if not file.exists():
            raise self.error("this diagram is new or has changed: `make diagrams` draws it")
        self.env.note_dependency(str(file))
        svg = file.read_text(encoding="utf-8")
        return [nodes.raw("", f'<div class="diagram" style="--width: {_width(svg)}px">{svg}</div>', format="html")]


def _width(svg: str) -> str:
    """How wide it was drawn."""
    found = VIEW_BOX.search(svg)
    return found[1] if found else "0"


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.add_directive("mermaid", Diagram)
    return {"parallel_read_safe": True}

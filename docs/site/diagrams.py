"""Puts the drawing of a Mermaid block into the page. The code host draws the same block itself."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from docs.site.drawings import drawing_of


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
        return [nodes.raw("", f'<div class="diagram">{svg}</div>', format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Has Sphinx use it."""
    app.add_directive("mermaid", Diagram)
    return {"parallel_read_safe": True}

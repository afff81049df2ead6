"""Where the drawing of each Mermaid block is.

Imports the standard library alone: who draws, who builds and who tests has different libraries.
"""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / "docs" / "images" / "diagrams"
BLOCK = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Of a hash that tells diagrams apart.
DIGITS = 16


def drawing_of(source: str) -> Path:
    """The file with the drawing of a diagram. Its name follows from the source: no other one is taken for it."""
    digest = hashlib.sha256(source.strip().encode()).hexdigest()
    return FOLDER / f"{digest[:DIGITS]}.svg"


def diagrams() -> Iterator[str]:
    """The source of every diagram in the documentation."""
    for page in sorted((REPOSITORY / "docs").rglob("*.md")):
        yield from BLOCK.findall(page.read_text(encoding="utf-8"))

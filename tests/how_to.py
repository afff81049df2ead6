"""The how-to for a use case of one's own, to be followed by tests."""

import re
from pathlib import Path

HOW_TO = (Path(__file__).parents[1] / "docs" / "your-own-use-case.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(?:<!-- not run: ([^\n]+) -->\n)?```sh\n(.*?)```", re.DOTALL)


def blocks(needs: str = "") -> list[str]:
    """Its commands, in their order: those that anybody can run, or those that need something."""
    return [block for needed, block in BLOCK.findall(HOW_TO) if needed == needs]


def record() -> str:
    """The JSON that it asks the API about."""
    found = re.search(r"-d '({.*?})'", HOW_TO, re.DOTALL)
    assert found
    return found[1]

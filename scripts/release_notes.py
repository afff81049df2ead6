"""Prints what CHANGELOG.md says of the version that a tag names. Standard library only.

    python scripts/release_notes.py v0.1.0 https://example.org/blob/v0.1.0/

The tag must be that of the version in pyproject.toml. Links to files of this repository begin with the second argument.
"""

import re
import sys
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RELATIVE_LINK = re.compile(r"\]\((?!\w+:|#)")


def main() -> None:
    """Prints the notes."""
    tag, address = sys.argv[1:]
    sys.stdout.write(release_notes(REPOSITORY, tag, address))


def release_notes(repository: Path, tag: str, address: str) -> str:
    """What the changelog says of a version, with links that work wherever they are shown.

    Args:
        repository: The folder with pyproject.toml and CHANGELOG.md.
        tag: The version with a v before it.
        address: What links to files begin with.

    Raises:
        SystemExit: The tag is not that of the version, or the changelog says nothing of it; the message says which.
    """
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    if tag != f"v{version}":
        sys.exit(
            f"error: the tag is {tag}, and the version in pyproject.toml is {version}: tag v{version}, or change it"
        )
    heading = rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)"
    found = re.search(heading, (repository / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        sys.exit(
            f"error: CHANGELOG.md says nothing below a heading '## [{version}] - YYYY-MM-DD': name the version there"
        )
    return RELATIVE_LINK.sub(f"]({address}", found[1].strip()) + "\n"


if __name__ == "__main__":
    main()

"""What takes too long for `make bench`: results that are kept in the repository with their date.

Each is measured by a verb of its own, and shown in the same table as what has just been measured.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from modelyard.contract import Frozen

FOLDER = Path(__file__).parent / "results"


class Kept(Frozen):
    """The last result of a measurement.

    Attributes:
        date: The day it was measured, in ISO 8601.
        measured: All numbers by name.
        ratios: What is held against the goals.
    """

    date: str
    measured: dict[str, float]
    ratios: dict[str, float]


def keep(name: str, measured: Mapping[str, float], ratios: Mapping[str, float]) -> Path:
    """Writes a result over the one before.

    Args:
        name: The measurement's.
        measured: All numbers by name.
        ratios: What is held against the goals.

    Returns:
        The file.
    """
    found = Kept(date=datetime.now(UTC).date().isoformat(), measured=dict(measured), ratios=dict(ratios))
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(found.model_dump(), indent=2) + "\n", encoding="utf-8")
    return path


def kept() -> Iterator[Kept]:
    """The last results of all of them."""
    for path in sorted(FOLDER.glob("*.json")):
        yield Kept.model_validate_json(path.read_bytes())

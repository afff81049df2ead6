"""What a fitted model said of the test part, kept with it: so that a gate need not load the library that fitted it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from modelyard.errors import UnusableModel

SCORES_FILE = "test_scores.json"
# A thousand bytes for each of some ten thousand pictures.
SCORES_LIMIT_BYTES = 16 * 2**20
KEPT: TypeAdapter[dict[str, tuple[float, ...]]] = TypeAdapter(dict[str, tuple[float, ...]])

Scores = NDArray[np.floating[Any]]


def kept_scores(keys: Iterable[str], scores: Scores) -> bytes:
    """Scores of shape (records, classes) as they are kept, by the records' keys."""
    return to_json(dict(zip(keys, scores.tolist(), strict=True)))


def scores_of(kept: bytes, keys: Iterable[str], width: int) -> tuple[NDArray[np.intp], Scores]:
    """The scores of those of some records that were in the test part then.

    Args:
        kept: The file.
        keys: The records' keys.
        width: How many scores each must have.

    Returns:
        The positions of these records among `keys`, and their scores.

    Raises:
        UnusableModel: It holds something else.
    """
    try:
        by_key = KEPT.validate_json(kept)
    except ValidationError as error:
        raise UnusableModel(f"{SCORES_FILE}: {error.errors()[0]['msg']}") from error
    if any(len(scores) != width for scores in by_key.values()):
        raise UnusableModel(f"{SCORES_FILE} does not hold {width} scores for each record")
    found = [(position, by_key[key]) for position, key in enumerate(keys) if key in by_key]
    positions = np.array([position for position, _ in found], dtype=np.intp)
    return positions, np.array([scores for _, scores in found], dtype=np.float64)

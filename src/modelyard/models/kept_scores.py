"""What a fitted model said of the test part, kept with it: so that a gate need not load the library that fitted it."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SCORES_FILE = "test_scores.json"

Scores = NDArray[np.floating[Any]]


def kept_scores(keys: Iterable[str], scores: Scores) -> bytes:
    """Scores of shape (records, classes) as they are kept, by the records' keys."""
    return json.dumps(dict(zip(keys, scores.tolist(), strict=True))).encode()


def scores_of(kept: bytes, keys: Iterable[str]) -> tuple[NDArray[np.intp], Scores]:
    """The scores of those of some records that were in the test part then.

    Args:
        kept: The file.
        keys: The records' keys.

    Returns:
        The positions of these records among `keys`, and their scores.
    """
    by_key = json.loads(kept)
    found = [(position, by_key[key]) for position, key in enumerate(keys) if key in by_key]
    positions = np.array([position for position, _ in found], dtype=np.intp)
    return positions, np.array([scores for _, scores in found], dtype=np.float64)

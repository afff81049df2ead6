"""Which part of a snapshot a record belongs to.

The rule, for ever: take the UTF-8 text `SEED:KEY`, its BLAKE2b hash of 8 bytes, and these as a big-endian number
divided by 2**64. Below the share of train it is train, below the shares of train and validation together it is
validation, else it is test. So a record stays in its part whatever else comes in, on every machine.

A source may say of a record that it belongs to the test part, or to the validation part: then it does. Of those that it
gives for training, the shares of train and validation alone decide which of the two it is.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelyard.usecase import PARTS, Split

HASH_BYTES = 8
WHOLE = 2**64


def parts_of(keys: Sequence[str], split: Split, given: Sequence[str | None] | None = None) -> NDArray[np.str_]:
    """The part of each record, of shape (records,).

    Args:
        keys: The records' keys.
        split: Shares and seed.
        given: What the source says of each record's part; None: nothing.
    """
    places = _places(keys, split.seed)
    parts = _between(places, split.train, split.train + split.validation)
    if given is None:
        return parts
    of_training = _between(places, split.train / (split.train + split.validation), 1.0)
    said = np.array([part or "" for part in given])
    return np.where(said == "", parts, np.where(said == "train", of_training, said))


def _places(keys: Sequence[str], seed_number: int) -> NDArray[np.uint64]:
    seed = f"{seed_number}:"
    hashes = [hashlib.blake2b(f"{seed}{key}".encode(), digest_size=HASH_BYTES).digest() for key in keys]
    return np.frombuffer(b"".join(hashes), dtype=">u8")


def _between(places: NDArray[np.uint64], *shares: float) -> NDArray[np.str_]:
    # The last place there is, as a share of 1 has none above it.
    borders = [min(round(share * WHOLE), WHOLE - 1) for share in shares]
    return np.array(PARTS)[np.searchsorted(np.array(borders, dtype=np.uint64), places, side="right")]

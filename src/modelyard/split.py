"""Which part of a snapshot a record belongs to.

The rule, for ever: take the UTF-8 text `SEED:KEY`, its BLAKE2b hash of 8 bytes, and these as a big-endian number
divided by 2**64. Below the share of train it is train, below the shares of train and validation together it is
validation, else it is test. So a record stays in its part whatever else comes in, on every machine.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modelyard.usecase import PARTS, Split

HASH_BYTES = 8
WHOLE = 2**64


def parts_of(keys: Sequence[str], split: Split) -> NDArray[np.str_]:
    """The part of each record, of shape (records,).

    Args:
        keys: The records' keys.
        split: Shares and seed.
    """
    seed = f"{split.seed}:"
    hashes = [hashlib.blake2b(f"{seed}{key}".encode(), digest_size=HASH_BYTES).digest() for key in keys]
    places = np.frombuffer(b"".join(hashes), dtype=">u8")
    borders = [round(share * WHOLE) for share in (split.train, split.train + split.validation)]
    return np.array(PARTS)[np.searchsorted(np.array(borders, dtype=np.uint64), places, side="right")]

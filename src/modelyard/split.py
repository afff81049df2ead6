"""Which part of a snapshot a record belongs to.

The rule without times, for ever: take the UTF-8 text `SEED:KEY`, its BLAKE2b hash of 8 bytes, and these as a big-endian
number divided by 2**64. Below the share of train it is train, below the shares of train and validation together it is
validation, otherwise test. So a record stays in its part whatever else comes in, on every machine. Records of a group
use what they have in common instead of the key, so all of them are in the same part.

A source may say that a record belongs to the test part, or to the validation part: then it does. For those that it
gives for training, the shares of train and validation alone decide between these two.

By time, two borders decide: what is before the first is for training, what is before the second for validation, and the
rest for the test. Rolling borders are counted back from the end of the day of the newest record (of its hour, if the
test's duration is in hours). They only move forward while records come, so a record goes from test to validation to
training; if the newest record is corrected to an earlier time, they move back. With groups, too, a group is in the part
in which its oldest record falls, and its records from the time of another part are in no part: so no group is in two
parts, and nothing is trained on that is newer than what tests it.
"""

import hashlib
import warnings
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Frozen
from modelyard.use_case import PARTS, Split, moment

HASH_BYTES = 8
WHOLE = 2**64
# The part of a record that is in none.
NO_PART = ""
# Of all moments that there are.
EARLIEST, LATEST = datetime.fromisoformat("0001-01-01"), datetime.fromisoformat("9999-12-31T23:59:59.999999")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# A test part without groups is cut into as many blocks of time, if it lasts as long; else into the shortest ones.
FEWEST_BLOCKS = 20
BLOCKS = (timedelta(weeks=1), timedelta(days=1), timedelta(hours=1))

Times = NDArray[np.datetime64]


class Borders(Frozen):
    """Where the parts of a split by time begin, in UTC.

    Attributes:
        validation_from: The first moment of validation.
        test_from: The first moment of the test.
    """

    validation_from: datetime
    test_from: datetime


class Parted(Frozen):
    """How a snapshot was split, as a version of a model keeps it.

    Attributes:
        split: The split's identity.
        borders: Where the parts begin, of a split by time.
    """

    split: dict[str, Any]
    borders: Borders | None = None


def parts_of(keys: Sequence[str], split: Split, given: Sequence[str | None] | None = None) -> NDArray[np.str_]:
    """The part of each record, of shape (records,), by a split without times.

    Args:
        keys: The records' keys; for records of a group, what they have in common.
        split: Shares and seed.
        given: What the source says of each record's part; None: nothing.
    """
    places = _places(keys, split.seed)
    train, validation, _ = split.shares
    parts = _between(places, train, train + validation)
    if given is None:
        return parts
    of_training = _between(places, train / (train + validation), 1.0)
    said = np.array([part or "" for part in given])
    return np.where(said == "", parts, np.where(said == "train", of_training, said))


def borders_of(split: Split, newest: datetime) -> Borders:
    """Where the parts of a split by time begin.

    Args:
        split: With fixed borders, or with durations.
        newest: The time of the newest record.
    """
    if split.validation_from and split.test_from:
        return Borders(validation_from=moment(split.validation_from), test_from=moment(split.test_from))
    test, validation = str(split.test), str(split.validation)
    test_from = _moved(_end(newest, test[-1]), -_lasting(test))
    return Borders(validation_from=_moved(test_from, -_lasting(validation)), test_from=test_from)


def parts_in_time(times: Times, borders: Borders, firsts: Times | None = None) -> NDArray[np.str_]:
    """The part of each record by a split by time, of shape (records,); NO_PART: none.

    Args:
        times: The time of each record.
        borders: Where the parts begin.
        firsts: The time of the oldest record of its group; None: there are no groups.
    """
    parts = _parts_at(times, borders)
    return parts if firsts is None else np.where(parts == _parts_at(firsts, borders), parts, NO_PART)


def clusters_of(groups: Sequence[str] | None, times: Times | None) -> NDArray[np.intp] | None:
    """A number for each record that is the same for those that depend on each other; None: all are independent.

    With groups, these are the clusters. Without, times are cut into blocks: the longest of weeks, days and hours of
    which there are enough, else hours.

    Args:
        groups: What the records of each group have in common, if there are groups.
        times: The time of each record, if they are split by it.
    """
    if groups is not None:
        return numbered(groups)
    return None if times is None else _blocks(times)


def numbered(values: Sequence[Any] | NDArray[Any]) -> NDArray[np.intp]:
    """A number for each value that is the same for equal ones, of shape (values,)."""
    return np.asarray(np.unique(np.asarray(values), return_inverse=True)[1], dtype=np.intp)


def folds_of(
    keys: Sequence[str],
    split: Split,
    count: int,
    seed: int,
    *,
    groups: Sequence[str] | None = None,
    times: Times | None = None,
    classes: Sequence[Any] | NDArray[Any] | None = None,
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Folds for a cross-validation that follow the split: positions to fit on, and positions to answer.

    By groups, no group is on both sides. By time, what is answered is newer than all that is fitted on: the records are
    cut into `count` + 1 stretches of about equal size, and each but the first is answered by a model of what came
    before it. By both, records of groups that were there before are not answered. Otherwise each fold has the shares of
    the classes. The folds do not depend on the order of the records. With fewer groups than folds, there are as many
    folds as groups.

    Args:
        keys: The records' keys.
        split: How the snapshot is split.
        count: How many folds.
        seed: Of what is random.
        groups: What the records of each group have in common, where the split is grouped.
        times: The time of each record, where the split is by time.
        classes: The records' classes; None: none.
    """
    if times is not None and split.time:
        return _forward_folds(times, groups, count)
    # The folds must not depend on the order in which records come.
    order = np.argsort(np.asarray(keys, dtype=object), kind="stable")
    labels = np.zeros(len(order)) if classes is None else np.asarray(classes)[order]
    numbers = np.empty(len(order), dtype=np.intp)
    if groups is None:
        numbers[order] = spread_evenly(labels, count, seed)
    else:
        numbers[order] = _grouped_folds(numbered(groups)[order], labels, count, seed)
    return [(np.flatnonzero(numbers != number), np.flatnonzero(numbers == number)) for number in np.unique(numbers)]


def spread_evenly(classes: NDArray[Any], count: int, seed: int) -> NDArray[np.intp]:
    """A random fold for each record: in each, every class has its share of records, to within one.

    Args:
        classes: Of each record; in a regression, the same for all.
        count: How many folds.
        seed: Of the chance.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(classes)), classes))
    folds = np.empty(len(classes), dtype=np.intp)
    # One after the other, so that two records of a rare class are in two folds.
    folds[order] = np.arange(len(classes)) % count
    return folds


def _grouped_folds(groups: NDArray[np.intp], classes: NDArray[Any], count: int, seed: int) -> NDArray[np.intp]:
    # Costs a second that a step that only parts records need not spend.
    from sklearn.model_selection import StratifiedGroupKFold

    folds = np.zeros(len(groups), dtype=np.intp)
    splitter = StratifiedGroupKFold(min(count, int(groups.max()) + 1), shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # Of a class with fewer records than folds, some folds have none.
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for number, (_, judged) in enumerate(splitter.split(groups, classes, groups)):
            folds[judged] = number
    return folds


def _forward_folds(
    times: Times, groups: Sequence[str] | None, count: int
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    in_order = np.sort(times)
    edges = np.unique([in_order[len(times) * step // (count + 1)] for step in range(1, count + 1)])
    folds = []
    for begin, end in zip(edges, [*edges[1:], None], strict=True):
        fitted, judged = times < begin, (times >= begin) & (True if end is None else times < end)
        if groups is not None:
            together = numbered(groups)
            judged &= ~np.isin(together, together[fitted])
        if fitted.any() and judged.any():
            folds.append((np.flatnonzero(fitted), np.flatnonzero(judged)))
    return folds


def _blocks(times: Times) -> NDArray[np.intp]:
    blocks = np.zeros(len(times), dtype=np.intp)
    for length in BLOCKS:
        blocks = numbered(times.astype("datetime64[us]").astype(np.int64) // (length // timedelta(microseconds=1)))
        if blocks.max(initial=-1) + 1 >= FEWEST_BLOCKS:
            break
    return blocks


def _parts_at(times: Times, borders: Borders) -> NDArray[np.str_]:
    begins = np.array([borders.validation_from, borders.test_from], dtype="datetime64[us]")
    return np.array(PARTS)[np.searchsorted(begins, times.astype("datetime64[us]"), side="right")]


def _end(newest: datetime, unit: str) -> datetime:
    """The end of the hour or the day of the newest record."""
    begin = newest.replace(minute=0, second=0, microsecond=0)
    return _moved(begin, UNITS["h"]) if unit == "h" else _moved(begin.replace(hour=0), UNITS["d"])


def _moved(begin: datetime, by: timedelta) -> datetime:
    """A moment so much later or earlier, as far as there are moments."""
    try:
        return begin + by
    except OverflowError:
        return LATEST if by > timedelta() else EARLIEST


def _lasting(duration: str) -> timedelta:
    return int(duration[:-1]) * UNITS[duration[-1]]


def _places(keys: Sequence[str], seed_number: int) -> NDArray[np.uint64]:
    seed = f"{seed_number}:"
    hashes = [hashlib.blake2b(f"{seed}{key}".encode(), digest_size=HASH_BYTES).digest() for key in keys]
    return np.frombuffer(b"".join(hashes), dtype=">u8")


def _between(places: NDArray[np.uint64], *shares: float) -> NDArray[np.str_]:
    # The last place there is, as a share of 1 has none above it.
    borders = [min(round(share * WHOLE), WHOLE - 1) for share in shares]
    return np.array(PARTS)[np.searchsorted(np.array(borders, dtype=np.uint64), places, side="right")]

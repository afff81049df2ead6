"""Which records belong together, and their times: how to split them, so that a test is honest.

Copies are told from chance by pairs of records. Of the pairs that are equal in all columns but the most distinctive
one, some are equal in that one as well, as often as its values are equal by chance. A table has copies where far more
are. A column without which no other pairs are equal is skipped. Where such pairs were to be expected, the other columns
determine it, and it proves nothing; where it has too many values for that, it makes equal records rarer by its chance.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelyard.authoring.columns import Column, Table
from modelyard.authoring.features import ID_NAME, Proposal
from modelyard.authoring.target import Goal
from modelyard.sources.values import far_ahead, times
from modelyard.split import borders_of, numbered, parts_in_time
from modelyard.use_case import PARTS, Split

# Names of those who have many records.
OWNER_NAME = re.compile(
    r"(customer|client|patient|person|people|user|subject|member|household|account|employee|student|driver|owner"
    r"|supplier|vendor|merchant|device|machine|sensor|vehicle|store|shop|card|subscriber)s?([_\W]*(id|no|nr|number|key|code))?$",
    re.IGNORECASE,
)
BIRTH_NAME = re.compile(r"birth|dob\b|born", re.IGNORECASE)
# A column of groups has so many different values, and so many records of each on average.
FEWEST_GROUPS = 20
RECORDS_OF_A_GROUP = 1.5
# So many other columns must say the same in all records of a group, beyond chance.
SAME_COLUMNS = 2
SAME = 0.9
# `python -m benchmarks.copies`: of tables without copies none has so many times as many pairs as by chance.
BEYOND_CHANCE = 100
FEWEST_PAIRS = 10
FEWEST_COPIES = 0.01
FEWEST_COLUMNS = 2
SMALLEST = 1e-12
# A table whose records are of fewer days says little of days to come.
FEWEST_DAYS = 10
VALIDATION_SHARE, TEST_SHARE = 0.1, 0.2
# A part must come to have such a share of the records.
SMALLEST_SHARE = 0.03

Codes = NDArray[np.intp]


@dataclass(frozen=True)
class Together:
    """How a table's records are to be split.

    Attributes:
        group: The column of groups, if there is one.
        time: The column of times, if there is one.
        copies: Whether equal records are more than chance.
        lasting: How long validation and test are to last, with a column of times.
        doubts: What is doubtful, a sentence each.
    """

    group: Column | None = None
    time: Column | None = None
    copies: bool = False
    lasting: tuple[str, str] = ("", "")
    doubts: tuple[str, ...] = ()


def together(
    table: Table, goal: Goal, key: Column | None, proposals: Sequence[Proposal], allowed_bad_share: float
) -> Together:
    """Looks for groups, times and copies.

    Args:
        table: The table.
        goal: What is predicted.
        key: The column that identifies a record.
        proposals: What the other columns would become.
        allowed_bad_share: With a larger share of records without group or time, nothing would be loaded.
    """
    # Half of what a load allows: other records may be bad, too.
    spared = allowed_bad_share / 2
    group = _group(table, goal, proposals, spared)
    features = [_codes(table, each.column) for each in proposals if each.type and each.column is not group]
    copies = group is None and has_copies(features)
    dated = [each.column for each in proposals if each.column is not key and _is_time(table, each.column, spared)]
    if len(dated) > 1:
        names = ", ".join(repr(column.name) for column in dated)
        doubt = f"{names} hold times: if one of them is the time of the record, split by it (`Split(time=…)`)."
        return Together(group, copies=copies, doubts=(doubt,))
    if not dated:
        return Together(group, copies=copies)
    lasting = _lasting(_times(table, dated[0]))
    if (group or copies) and not _is_enough(table, dated[0], lasting, group, features):
        doubt = (
            f"{dated[0].name!r} has the times of records: splitting by time and group leaves too few records, so the "
            "split goes by group alone."
        )
        return Together(group, copies=copies, doubts=(doubt,))
    return Together(group, dated[0], copies, lasting)


def has_copies(columns: Sequence[Codes]) -> bool:
    """Whether more records are equal than columns of such values give by chance.

    Args:
        columns: A number for each record that stands for its value, of each column.
    """
    return beyond_chance(columns) > BEYOND_CHANCE


def beyond_chance(columns: Sequence[Codes]) -> float:
    """How many times as many pairs of records are equal as by chance; 0: there are too few of them to say.

    Args:
        columns: A number for each record that stands for its value, of each column.
    """
    # One column alone does not tell copies from values that are rounded.
    if len(columns) < FEWEST_COLUMNS:
        return 0.0
    hashes = _hashed(columns)
    rest = np.sum(hashes, axis=0)
    _, first, counts = np.unique(rest, return_index=True, return_counts=True)
    equal = _pairs(counts)
    if equal < FEWEST_PAIRS or counts[counts > 1].sum() < FEWEST_COPIES * len(rest):
        return 0.0
    chances = [_chance(column[first]) for column in columns]
    expected_on_rest = _pairs(np.array([len(first)])) * float(np.prod(chances))
    passed = 1.0
    for place in np.argsort(chances, kind="stable"):
        chance = max(chances[place], SMALLEST)
        rest -= hashes[place]
        expected_on_rest /= chance
        others = _pairs_of(rest) - equal
        if others > 0:
            expected = others * chance / max(1 - chance, SMALLEST)
            return float(equal / max(expected * passed, SMALLEST))
        passed *= chance if expected_on_rest < 1 else 1.0
    return math.inf


def _chance(codes: Codes) -> float:
    """With which chance two records have the same value."""
    return _pairs(np.bincount(codes)) / max(_pairs(np.array([len(codes)])), 1)


def _group(table: Table, goal: Goal, proposals: Sequence[Proposal], spared: float) -> Column | None:
    """The column that names to whom a record belongs: like a key, but it repeats with the same values in others."""
    others = {column.position: _codes(table, column) for column in (goal.column, *(each.column for each in proposals))}
    for proposal in proposals:
        column = proposal.column
        given = _cells(table, column).is_valid().to_numpy(zero_copy_only=False)
        groups = others[column.position][given]
        if not (_is_like_a_key(column, spared) and _comes_again(column, groups)):
            continue
        same = [place for place, codes in others.items() if place != column.position and _is_same(groups, codes[given])]
        if len(same) >= SAME_COLUMNS:
            return column
    return None


def _is_like_a_key(column: Column, spared: float) -> bool:
    if column.missing > spared * column.records or (column.is_number and not column.whole):
        return False
    name = column.name.rstrip(" .:#")
    return bool(ID_NAME.search(name) or OWNER_NAME.search(name))


def _comes_again(column: Column, groups: Codes) -> bool:
    """Whether there are enough values, with enough records of each on average."""
    if column.all_counted:
        return column.different >= FEWEST_GROUPS and column.given >= RECORDS_OF_A_GROUP * column.different
    # Too many to count: among some of the records there are as many equal pairs as their share of all pairs.
    equal = _pairs(np.bincount(groups))
    others = 2 * equal / len(groups) * (column.given - 1) / (len(groups) - 1)
    return equal >= FEWEST_PAIRS and others >= RECORDS_OF_A_GROUP - 1


def _is_same(groups: Codes, codes: Codes) -> bool:
    """Whether a column says the same in nearly all records of a group, and not in all records."""
    within = _pairs(np.bincount(groups))
    both = _pairs(np.unique(np.column_stack([groups, codes]), axis=0, return_counts=True)[1])
    chance = _chance(codes)
    return within > 0 and chance < 1 and (both / within - chance) / (1 - chance) >= SAME


def _is_time(table: Table, column: Column, spared: float) -> bool:
    if column.missing > spared * column.records or column.is_number or BIRTH_NAME.search(column.name):
        return False
    moments = _times(table, column)
    known = ~np.isnat(moments)
    return bool((~known).mean() <= spared) and len(np.unique(moments[known].astype("datetime64[D]"))) >= FEWEST_DAYS


def _lasting(moments: NDArray[np.datetime64]) -> tuple[str, str]:
    """How long validation and test must last to have their shares of the records, in days."""
    in_order = np.sort(moments[~np.isnat(moments)])
    end = in_order[-1]
    begins = [in_order[int(len(in_order) * (1 - share))] for share in (VALIDATION_SHARE + TEST_SHARE, TEST_SHARE)]
    both, test = (max(1, math.ceil((end - begin) / np.timedelta64(1, "D"))) for begin in begins)
    return f"{max(1, both - test)}d", f"{test}d"


def _is_enough(
    table: Table, column: Column, lasting: tuple[str, str], group: Column | None, features: Sequence[Codes]
) -> bool:
    moments = _times(table, column)
    known = ~np.isnat(moments)
    moments, groups = moments[known], _codes(table, group) if group else numbered(np.sum(_hashed(features), axis=0))
    groups = groups[known]
    firsts = np.full(groups.max() + 1, moments.max())
    np.minimum.at(firsts, groups, moments)
    split = Split(time="time", validation=lasting[0], test=lasting[1])
    parts = parts_in_time(moments, borders_of(split, moments.max().item()), firsts[groups])
    return all((parts == part).mean() >= SMALLEST_SHARE for part in PARTS)


def _cells(table: Table, column: Column) -> pa.StringArray:
    return table.sample.column(str(column.position)).combine_chunks()


def _codes(table: Table, column: Column) -> Codes:
    return numbered(_cells(table, column).fill_null("").to_numpy(zero_copy_only=False))


def _times(table: Table, column: Column) -> NDArray[np.datetime64]:
    """When each record came about; not a time where that cannot be told, and it would be set aside."""
    values = times(_cells(table, column)).values
    moments = np.array(values.to_numpy(zero_copy_only=False), dtype="datetime64[us]")
    moments[far_ahead(values)] = np.datetime64("NaT")
    return moments


def _hashed(columns: Sequence[Codes]) -> list[NDArray[np.uint64]]:
    """A number for each value: the sums of rows are equal where the rows are, but for a chance of about 2**-40."""
    drawn = np.random.default_rng(0)
    return [drawn.integers(0, 2**63, column.max() + 1, dtype=np.uint64)[column] for column in columns]


def _pairs_of(values: NDArray[np.uint64]) -> float:
    return _pairs(np.unique(values, return_counts=True)[1])


def _pairs(counts: NDArray[np.integer]) -> float:
    floats = counts.astype(np.float64)
    return float((floats * (floats - 1) / 2).sum())

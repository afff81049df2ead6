"""Cells become values: text that stands in a file is read as a number, a whole number, a boolean or a label.

Whole columns are cast at once; only a column with cells that do not cast is looked at cell by cell.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modelyard.contract import Feature, FeatureType, Target
from modelyard.use_case import moment

# What stands for a missing number or boolean in files that other programs wrote. In a category these may be values.
NO_VALUE = ("NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "NaN", "nan", "?", "-")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
# The cast to int64 would take 0x2A for a number, and is slow in refusing 42.0.
NOT_PLAIN = (b".", b"x", b"X")
BOOLEANS = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), True),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), False),
}
# Of more digits, neither float64 nor JSON tell all whole numbers apart.
INTEGER_DIGITS = 15
INTEGER_LIMIT = 10**INTEGER_DIGITS - 1
# So far that no clock is that wrong, and no zone: a time in the years 2062 or 9999.
FARTHEST_AHEAD = timedelta(days=3652)
FAR_AHEAD = "is ten years ahead or more: when a record came about cannot be"


class Values(NamedTuple):
    """A column's values.

    Attributes:
        values: One for each cell; null where the cell is empty or cannot be read.
        unreadable: The positions of the cells that cannot be read.
    """

    values: pa.Array
    unreadable: NDArray[np.intp]


class Reading(NamedTuple):
    """How a column's cells are read.

    Attributes:
        read: Makes values of cells.
        complaint: What is said of a cell that cannot be read.
    """

    read: Callable[[pa.StringArray], Values]
    complaint: str


NOTHING = np.array([], dtype=np.intp)


def reading_of(field: Feature | Target, decimal: str = ".") -> Reading:
    """How the cells of a feature or target are read.

    Args:
        field: The feature or target.
        decimal: What stands before the decimals of numbers: a point or a comma.
    """
    reading = _usual_reading_of(field)
    if decimal == "." or reading not in (NUMBERS, INTEGERS):
        return reading
    return Reading(lambda cells: reading.read(with_points(cells)), f"{reading.complaint}; decimals follow a comma")


def _usual_reading_of(field: Feature | Target) -> Reading:
    if isinstance(field, Target):
        if not field.classes:
            return NUMBERS
        return INTEGERS if all(isinstance(label, int) for label in field.classes) else TEXTS
    return OF_TYPE[field.type]


def number_pattern(decimal: str, thousands: str) -> str:
    """The regular expression of numbers with one sign before their decimals, another one between their thousands."""
    before, between = re.escape(decimal), re.escape(thousands)
    return rf"^\s*[+-]?(\d+|[1-9]\d{{0,2}}({between}\d{{3}})+|)({before}\d*)?([eE][+-]?\d+)?\s*$"


def with_points(cells: pa.StringArray) -> pa.StringArray:
    """Numbers with decimal commas, written with points instead. What has a point otherwise becomes unreadable."""
    is_number = pc.match_substring_regex(cells, number_pattern(decimal=",", thousands="."))
    converted = pc.replace_substring(pc.replace_substring(cells, ".", ""), ",", ".")
    has_point = pc.match_substring(cells, ".")
    return pc.if_else(is_number, converted, pc.if_else(has_point, pa.scalar("."), cells))


def numbers(cells: pa.StringArray) -> Values:
    """Numbers as float64."""
    try:
        values = pc.cast(cells, pa.float64())
    except pa.ArrowInvalid:
        return _numbers_one_by_one(cells)
    # The cast takes "nan" and "inf" for numbers.
    return Values(values, NOTHING) if pc.all(pc.is_finite(values)).as_py() is not False else _numbers_one_by_one(cells)


def integers(cells: pa.StringArray) -> Values:
    """Whole numbers as int64, also those that are written like 42.0."""
    as_numbers = _plain_integers(cells) or numbers(cells)
    present = as_numbers.values.is_valid().to_numpy(zero_copy_only=False)
    values = as_numbers.values.fill_null(0).to_numpy()
    whole = (values >= -INTEGER_LIMIT) & (values <= INTEGER_LIMIT) & (values == np.floor(values))
    if whole.all() and pa.types.is_integer(as_numbers.values.type):
        return as_numbers
    readable = present & whole
    unreadable = np.union1d(as_numbers.unreadable, np.flatnonzero(present & ~whole))
    return Values(pa.array(np.where(readable, values, 0).astype(np.int64), mask=~readable), unreadable)


def booleans(cells: pa.StringArray) -> Values:
    """Booleans, also those that are written 0 and 1 or yes and no."""
    values = _booleans(cells)
    if values.null_count > cells.null_count:
        cells = _tidied(cells)
        values = _booleans(pc.utf8_lower(cells))
    return Values(values, _positions(pc.and_(cells.is_valid(), values.is_null())))


def texts(cells: pa.StringArray) -> Values:
    """Text without the blanks around it; what is nothing but blanks is missing."""
    return Values(without_blanks(cells), NOTHING)


def times(cells: pa.StringArray) -> Values:
    """Dates and times in ISO 8601, as UTC; one without a zone is UTC."""
    tidied = without_blanks(cells)
    try:
        return Values(pc.cast(tidied, pa.timestamp("us")), NOTHING)
    except pa.ArrowInvalid:
        read = pa.array([_moment_or_none(cell) for cell in tidied.to_pylist()], pa.timestamp("us"))
        return Values(read, _positions(pc.and_(tidied.is_valid(), read.is_null())))


def far_ahead(moments: pa.Array) -> NDArray[np.intp]:
    """The positions of the times at which no record can have come about: a slip of the pen, or a word for never."""
    latest = datetime.now(UTC).replace(tzinfo=None) + FARTHEST_AHEAD
    return _positions(pc.fill_null(pc.greater(moments, pa.scalar(latest, moments.type)), False))


def _moment_or_none(cell: str | None) -> datetime | None:
    try:
        return moment(cell) if cell else None
    except ValueError:
        return None


def _plain_integers(cells: pa.StringArray) -> Values | None:
    buffer = cells.buffers()[2]
    text = buffer.to_pybytes() if buffer else b""
    if any(mark in text for mark in NOT_PLAIN):
        return None
    try:
        return Values(pc.cast(cells, pa.int64()), NOTHING)
    except pa.ArrowInvalid:
        return None


def _booleans(cells: pa.StringArray) -> pa.BooleanArray:
    known = pc.index_in(cells, pa.array(list(BOOLEANS)))
    return pa.array(list(BOOLEANS.values())).take(known)


def _numbers_one_by_one(cells: pa.StringArray) -> Values:
    tidied = _tidied(cells)
    values = [float(cell) if cell and NUMBER.fullmatch(cell) else None for cell in tidied.to_pylist()]
    read = pa.array(values, pa.float64())
    return Values(read, _positions(pc.and_(tidied.is_valid(), read.is_null())))


def without_blanks(cells: pa.StringArray) -> pa.StringArray:
    """Cells without the blanks around them, null where nothing else was there."""
    trimmed = pc.utf8_trim_whitespace(cells)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.string()), trimmed)


def _tidied(cells: pa.StringArray) -> pa.StringArray:
    trimmed = without_blanks(cells)
    return pc.if_else(pc.is_in(trimmed, pa.array(NO_VALUE)), pa.scalar(None, pa.string()), trimmed)


def _positions(mask: pa.BooleanArray) -> NDArray[np.intp]:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False))


NUMBERS = Reading(numbers, "is not a number")
INTEGERS = Reading(integers, f"is not a whole number (of up to {INTEGER_DIGITS} digits)")
TEXTS = Reading(texts, "is not a text")
TIMES = Reading(times, "is no date or time in ISO 8601, such as 2026-11-20 or 2026-11-20T10:30:00Z")
OF_TYPE = {
    FeatureType.NUMBER: NUMBERS,
    FeatureType.INTEGER: INTEGERS,
    FeatureType.BOOLEAN: Reading(booleans, "is neither true nor false (1 nor 0)"),
    FeatureType.CATEGORY: TEXTS,
}

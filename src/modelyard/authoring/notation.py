"""How the numbers of a table are written."""

import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from modelyard.sources.values import NO_VALUE, number_pattern

# What most cells of a column of numbers must be.
MOST = 0.95
PLAINLY = "write nothing but digits and, before decimals, a point"
# Before the decimals, or between the thousands.
WITH_COMMAS = re.compile(r"\s*[+-]?((\d{1,3}(\.\d{3})+|\d+),\d+|\d{1,3}(,\d{3})*(\.\d*)?)\s*")
DECORATED_NUMBER = re.compile(r"\s*[$€£¥]?\s*[+-]?\d[\d,.' ]*\s*[$€£¥%]?\s*")
DECORATION = re.compile(r".*[$€£¥%'].*|.*\d \d.*", re.DOTALL)


def decimal_of(columns: Iterable[pa.StringArray]) -> str:
    """What stands before the decimals of a table's numbers: a comma where that is sure, else a point.

    It is sure where a column has numbers with commas that part no thousands, and none has such numbers with points.

    Args:
        columns: Some cells of each column, without blanks around them.
    """
    given = [cells.filter(pc.invert(pc.is_in(cells, pa.array(NO_VALUE)))).drop_null() for cells in columns]
    has_commas, has_points = (any(_has_decimals(cells, *signs) for cells in given) for signs in (",.", ".,"))
    return "," if has_commas and not has_points else "."


def odd_numbers(texts: list[str]) -> str:
    """What texts hold that are numbers, but written as numbers are not read; nothing if they are none."""
    comma = next((text for text in texts if "," in text and WITH_COMMAS.fullmatch(text)), None)
    if comma and most_fit(WITH_COMMAS, texts):
        return f"numbers with commas, such as {comma!r}"
    if most_fit(DECORATED_NUMBER, texts) and most_fit(DECORATION, texts):
        return f"numbers with signs, such as {texts[0]!r}"
    return ""


def most_fit(pattern: re.Pattern[str], texts: list[str]) -> bool:
    """Whether a pattern fits all texts, but for a few."""
    return sum(1 for text in texts if pattern.fullmatch(text)) >= MOST * len(texts)


def _has_decimals(cells: pa.StringArray, decimal: str, thousands: str) -> bool:
    """Whether cells are numbers, some of which have this sign and not only between thousands."""
    whole = rf"^[+-]?(\d+|[1-9]\d{{0,2}}({re.escape(decimal)}\d{{3}})+)$"
    with_sign = cells.filter(pc.match_substring(cells, decimal))
    return _share(cells, number_pattern(decimal, thousands)) >= MOST and _share(with_sign, whole) < 1


def _share(cells: pa.StringArray, pattern: str) -> float:
    """The share of cells that fit a pattern; of none, all."""
    return float(pc.mean(pc.match_substring_regex(cells, pattern)).as_py()) if len(cells) else 1.0

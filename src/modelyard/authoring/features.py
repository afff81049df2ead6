"""What the columns become: features with a type, or nothing, with the reason."""

import re
from collections import Counter
from dataclasses import dataclass, replace

import pyarrow as pa

from modelyard.authoring.columns import Column, Table
from modelyard.authoring.notation import MOST, PLAINLY, most_fit, odd_numbers
from modelyard.authoring.target import Goal
from modelyard.contract import FeatureType
from modelyard.sources.values import NO_VALUE, NUMBER

# A text with no more different values is a category with just these.
MOST_CATEGORIES = 20
# A text with more different values than this share of the records says something else of nearly each.
MOST_DIFFERENT_SHARE = 0.5
# Longer texts, on average, are prose.
PROSE_CHARACTERS = 60
# How many texts are looked at to say what they are.
LOOKED_AT = 500
NEARLY_EMPTY = 0.95
NEARLY_THE_SAME = 0.99

DATE = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}[- ]\w{3,9}[- ]\d{2,4}"
    r"|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.? \d{1,2}(,? \d{4}|, \d{2})"
    r")([T ]+\d.*)?\s*",
    re.IGNORECASE,
)
ID_NAME = re.compile(r"(^|[_\W])(id|ids|uuid|guid|key|nr|no|number|code|index|row)$|^unnamed|ID$|Id$", re.IGNORECASE)


@dataclass(frozen=True)
class Proposal:
    """What a column is proposed to be.

    Attributes:
        column: The column.
        type: The feature's type; None: it is left out.
        why_not: Why it is left out, as the rest of a sentence.
        categories: The values of a category with few of them.
        doubt: What is doubtful about it, as the rest of a sentence.
    """

    column: Column
    type: FeatureType | None
    why_not: str = ""
    categories: tuple[str, ...] = ()
    doubt: str = ""


def propose(table: Table, goal: Goal, key: Column | None) -> list[Proposal]:
    """A proposal for every column but the target's and the key's, in order."""
    twice = {name for name, count in Counter(column.name for column in table.columns).items() if count > 1}
    return [
        _of_column(column, is_there_twice=column.name in twice)
        for column in table.columns
        if column is not goal.column and column is not key
    ]


def _of_column(column: Column, *, is_there_twice: bool) -> Proposal:
    why_not = _why_not(column, is_there_twice=is_there_twice)
    if why_not:
        return Proposal(column, None, why_not)
    proposal = _number(column) if column.is_number or column.is_truth else _text(column)
    return proposal if proposal.doubt or not proposal.type else replace(proposal, doubt=_doubt_of_share(column))


def _doubt_of_share(column: Column) -> str:
    """What to doubt of a column that says next to nothing, as nearly all of its records are alike."""
    if column.missing > NEARLY_EMPTY * column.records:
        return "is empty in nearly all records"
    [(_, count)] = column.texts.most_common(1)
    return "is the same in nearly all records" if count > NEARLY_THE_SAME * column.records else ""


def _why_not(column: Column, *, is_there_twice: bool) -> str:
    if is_there_twice:
        return "is the name of more than one column: neither can be meant"
    if column.missing == column.records:
        return "is empty"
    if column.different == 1:
        return "is the same in all records that have it" if column.missing else "is the same in all records"
    return ""


def _number(column: Column) -> Proposal:
    if column.is_truth:
        return Proposal(column, FeatureType.BOOLEAN)
    if column.is_unique and column.whole and (column.rising or ID_NAME.search(column.name)):
        return Proposal(column, None, "has another whole number in every record, as an identifier has")
    kind = FeatureType.INTEGER if column.whole else FeatureType.NUMBER
    return Proposal(column, kind, doubt=_doubt_of_number(column))


def _doubt_of_number(column: Column) -> str:
    if column.strays:
        cells = f"{column.strays} cells that are no usable number, such as {column.stray!r}"
        return f"has {cells}: those records are set aside"
    if column.whole and column.minimum >= 19_000_101 and column.maximum <= 21_001_231:
        return "may be a date that is written as a number"
    if column.is_unique and column.whole:
        return "has another whole number in every record: if it identifies one, take it out, or name it as --key"
    if column.whole and ID_NAME.search(column.name) and column.different > MOST_CATEGORIES:
        return "may be a code and no amount: a larger one would mean nothing"
    return ""


def _text(column: Column) -> Proposal:
    texts = list(column.texts)[:LOOKED_AT]
    why_not = _no_text(column, texts) or _no_category(column)
    return Proposal(column, None, why_not) if why_not else _category(column)


def _no_text(column: Column, texts: list[str]) -> str:
    """Why these are dates or numbers that cannot be used; empty: they are texts."""
    if most_fit(DATE, texts):
        return "holds dates: a number says more, such as the days until another date"
    if odd := odd_numbers(texts):
        return f"holds {odd}: {PLAINLY}"
    if (large := _too_large(column, texts)) is not None:
        return f"holds numbers that are too large for models, such as {large!r}"
    if (stray := _stray_text(column, texts)) is not None:
        return f"holds numbers, and texts such as {stray!r}: leave those cells empty"
    return ""


def _no_category(column: Column) -> str:
    """Why texts are no values of a category."""
    if column.characters > PROSE_CHARACTERS * column.given:
        return "holds prose, which the models of tables do not read"
    if column.is_unique:
        return "has another text in every record, as a name or an identifier has"
    if not column.all_counted or column.different > MOST_DIFFERENT_SHARE * column.given:
        return "has another text in nearly every record, as a name or an identifier has"
    return ""


def _too_large(column: Column, texts: list[str]) -> str | None:
    """The first number that models cannot hold, of a column that is of numbers."""
    unreadable = column.numbers(pa.array(texts)).unreadable
    too_large = (texts[place] for place in unreadable if NUMBER.fullmatch(texts[place]))
    return next(too_large, None) if most_fit(NUMBER, texts) else None


def _stray_text(column: Column, texts: list[str]) -> str | None:
    """The first text of a column that most likely is one of numbers, but for some texts."""
    strays = column.numbers(pa.array(texts)).unreadable
    are_numbers = column.different > MOST_CATEGORIES and len(strays) <= (1 - MOST) * len(texts)
    return texts[strays[0]] if are_numbers and len(strays) else None


def _category(column: Column) -> Proposal:
    categories = tuple(sorted(column.texts)) if column.different <= MOST_CATEGORIES else ()
    return Proposal(
        column, FeatureType.CATEGORY, categories=categories, doubt=doubt_of_spellings(column) or _no_value(column)
    )


def _no_value(column: Column) -> str:
    """What to doubt of a category with a value that says in other columns that there is none."""
    found = next((text for text in NO_VALUE if text in column.texts), None)
    return f"has the value {found!r}: if that means that it is missing, leave those cells empty" if found else ""


def doubt_of_spellings(column: Column) -> str:
    """What to doubt of a category some of whose values differ only in how they are written."""
    first: dict[str, str] = {}
    for text in sorted(column.texts):
        other = first.setdefault(" ".join(text.casefold().split()), text)
        if other != text:
            return f"holds {other!r} and {text!r}, which count as two values, and may be meant to be one"
    return ""

"""What is in the columns of a table: read once from beginning to end, in bounded memory."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.authoring.notation import decimal_of
from modelyard.contract import LARGEST_NUMBER
from modelyard.errors import BadInput
from modelyard.records import Rejection
from modelyard.sources.csv_file import TO_UTF8, CsvFile, spelled
from modelyard.sources.files import opened
from modelyard.sources.values import BOOLEANS, INTEGER_LIMIT, NO_VALUE, Values, numbers, with_points, without_blanks

# Of a column, so many different texts are counted.
MOST_TEXTS = 20_000
# Records that relations between columns are looked for in, at least, where the file has as many.
SAMPLE_RECORDS = 10_000
# A column with more cells that are no numbers than this share is text.
STRAY_SHARE = 0.01
# So many records must have been read before a column is given up for text.
FEW_RECORDS = 1_000


@dataclass
class Column:
    """A column and what its cells hold.

    Attributes:
        name: Its name in the file.
        position: Where it is, from 0 on.
        most: So many different texts are counted.
        decimal: What stands before the decimals of numbers.
        records: How many records there are.
        empty: How many of them have nothing there.
        texts: How often each text is there; of the first so many different ones.
        counted: In how many records they were counted.
        is_full: Whether there were too many different ones to count on.
        characters: Length of all texts together.
        unwritten: Cells that say in a word that a number is missing, such as NA.
        strays: Cells that are no numbers, or too large ones.
        stray: The first of them.
        whole: Whether all its numbers are whole.
        rising: Whether each number is above the one before.
        minimum: Its smallest number.
        maximum: Its largest number.
        total: All its numbers together.
    """

    name: str
    position: int
    most: int = MOST_TEXTS
    decimal: str = "."
    records: int = 0
    empty: int = 0
    texts: Counter[str] = field(default_factory=Counter)
    counted: int = 0
    is_full: bool = False
    characters: int = 0
    unwritten: int = 0
    strays: int = 0
    stray: str = ""
    whole: bool = True
    rising: bool = True
    minimum: float = float("inf")
    maximum: float = float("-inf")
    total: float = 0.0

    @property
    def given(self) -> int:
        """Records with something there."""
        return self.records - self.empty

    @property
    def all_counted(self) -> bool:
        """Whether no different text was left uncounted."""
        return self.counted == self.given

    @property
    def is_number(self) -> bool:
        """Whether its cells are numbers, but for a stray few."""
        numbers = self.given - self.strays - self.unwritten
        return numbers > 0 and self.strays <= self.given * STRAY_SHARE and not self._has_leading_zeros()

    @property
    def is_truth(self) -> bool:
        """Whether its cells say yes and no, in whatever words of the two."""
        if not self.all_counted or len(self.texts) > len(BOOLEANS):
            return False
        told = {text.lower() for text in self.texts if text not in NO_VALUE}
        return told <= BOOLEANS.keys() and {BOOLEANS[word] for word in told} == {True, False}

    @property
    def missing(self) -> int:
        """Records without a value: nothing is there, or a number is said to be missing."""
        if self.is_truth:
            return self.empty + sum(count for text, count in self.texts.items() if text in NO_VALUE)
        return self.empty + (self.unwritten if self.is_number else 0)

    @property
    def different(self) -> int:
        """How many different values it has; when they are too many to count, more than this."""
        return len(self.texts)

    @property
    def is_unique(self) -> bool:
        """Whether every record has another value, as far as they were counted."""
        return self.counted > 1 and len(self.texts) == self.counted

    @property
    def mean(self) -> float:
        """Mean of its numbers."""
        return self.total / max(self.given - self.strays - self.unwritten, 1)

    def numbers(self, cells: pa.StringArray) -> Values:
        """Cells of this column as numbers; one that is too large for models is none."""
        return _small_enough(numbers(with_points(cells) if self.decimal == "," else cells))

    def number(self, text: str) -> float | None:
        """A cell of this column as a number; None: it is none."""
        value: float | None = self.numbers(pa.array([text])).values[0].as_py()
        return value

    def add(self, cells: pa.StringArray) -> None:
        """Takes the next cells into account."""
        self.records += len(cells)
        self.empty += cells.null_count
        given = cells.drop_null()
        if not len(given):
            return
        self.characters += int(pc.sum(pc.utf8_length(given)).as_py())
        self._count(given)
        if self.records <= FEW_RECORDS or self.strays <= self.given * STRAY_SHARE:
            self._measure(given)
        else:
            self.strays += len(given)

    def _count(self, given: pa.StringArray) -> None:
        if self.is_full:
            return
        counts = pc.value_counts(given)
        self.texts.update(dict(zip(counts.field(0).to_pylist(), counts.field(1).to_pylist(), strict=True)))
        self.counted += len(given)
        self.is_full = len(self.texts) > self.most

    def _measure(self, given: pa.StringArray) -> None:
        read = self.numbers(given)
        if len(read.unreadable):
            self.stray = self.stray or given[int(read.unreadable[0])].as_py()
            self.strays += len(read.unreadable)
        values = read.values.drop_null().to_numpy()
        self.unwritten += len(given) - len(read.unreadable) - len(values)
        if not len(values):
            return
        self.whole = self.whole and bool(np.all((np.abs(values) <= INTEGER_LIMIT) & (values == np.floor(values))))
        self.rising = self.rising and values[0] > self.maximum and bool(np.all(np.diff(values) > 0))
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        self.total += float(values.sum())

    def _has_leading_zeros(self) -> bool:
        """Whether a number would lose what distinguishes it, as postal codes do."""
        return any(re.match(r"0\d", text) for text in self.texts)


@dataclass
class Table:
    """A table that was read.

    Attributes:
        source: Where it is.
        columns: Its columns in order.
        separator: What separates them.
        decimal: What stands before the decimals of its numbers.
        records: How many records it has.
        rejected: Lines that are no records.
        first_rejected: The first of them.
        sample: Some of its records, spread evenly over the file: a column of texts for each column's number.
    """

    source: str
    columns: list[Column]
    separator: str
    decimal: str
    records: int
    rejected: int
    first_rejected: Rejection | None
    sample: pa.Table

    def column(self, name: str) -> Column:
        """The column of that name, or else the only one that is called alike: capitals and blanks do not matter.

        Raises:
            BadInput: There is none, or two.
        """
        alike = [column for column in self.columns if spelled(column.name) == spelled(name)]
        found = [column for column in alike if column.name == name] or alike
        if len(found) == 1:
            return found[0]
        there = ", ".join(repr(column.name) for column in self.columns)
        what = "no column" if not found else "more than one column"
        raise BadInput(f"{self.source}: there is {what} {name!r}; the columns are {there}")


class _Sample:
    """Every so many records, so many that there are enough, and never more than four times as many."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self._step = 1
        self._seen = 0

    def add(self, columns: list[pa.StringArray]) -> None:
        table = pa.table({str(position): cells for position, cells in enumerate(columns)})
        first = -self._seen % self._step
        self.tables.append(table.take(np.arange(first, table.num_rows, self._step)))
        self._seen += table.num_rows
        if sum(each.num_rows for each in self.tables) > 4 * SAMPLE_RECORDS:
            whole = pa.concat_tables(self.tables)
            self.tables = [whole.take(np.arange(0, whole.num_rows, 2))]
            self._step *= 2


def read_table(source: str, key: str | None = None) -> Table:
    """Reads a table from beginning to end.

    Args:
        source: A path or URL.
        key: The column that identifies a record: all of its values are counted.

    Raises:
        BadInput: It is no table that Modelyard can load; the message says why and what to do.
        ServiceUnavailable: The server that has it does not answer.
    """
    with opened(source) as content:
        file = CsvFile(content)
        columns: list[Column] = []
        sample, rejected = _Sample(), 0
        first: Rejection | None = None
        for page in file.cells():
            rejected += len(page.rejected)
            first = first or next(iter(page.rejected), None)
            cells = [without_blanks(column) for column in page.columns.values()]
            columns = columns or _columns(file.columns, key, decimal_of(cells))
            for column, its_cells in zip(columns, cells, strict=True):
                column.add(its_cells)
            sample.add(cells)
    if not columns or not columns[0].records:
        raise BadInput(f"{source} has no records{f': line {first.line} {reason_of(first)}' if first else ''}")
    decimal = columns[0].decimal
    sampled = pa.concat_tables(sample.tables)
    return Table(source, columns, file.separator, decimal, columns[0].records, rejected, first, sampled)


def _small_enough(read: Values) -> Values:
    """Numbers without those that are too large for models, which become unreadable."""
    too_large = pc.fill_null(pc.greater(pc.abs(read.values), LARGEST_NUMBER), False)
    positions = np.flatnonzero(too_large.to_numpy(zero_copy_only=False))
    if not len(positions):
        return read
    kept = pc.if_else(too_large, pa.scalar(None, read.values.type), read.values)
    return Values(kept, np.union1d(read.unreadable, positions))


def _columns(names: Sequence[str], key: str | None, decimal: str) -> list[Column]:
    return [
        Column(name, position, sys.maxsize if name == key else MOST_TEXTS, decimal)
        for position, name in enumerate(names)
    ]


def reason_of(rejection: Rejection) -> str:
    """Why a line is no record, and what to do where that is known."""
    return f"{rejection.reason}: {TO_UTF8}" if "UTF-8" in rejection.reason else rejection.reason

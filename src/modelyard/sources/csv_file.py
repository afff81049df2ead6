"""CSV as a stream of records: exact line numbers, one bad line never spoils another, memory bounded.

Most blocks of most files hold nothing but plain cells, separators and line ends: pyarrow parses those. A block with
anything else in it (quotes, blank lines, a line with too few cells, bytes that are no text) is read record by record. A
plain block means the same to both.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray

from modelyard.contract import Feature, Target
from modelyard.errors import BadInput
from modelyard.records import Rejection
from modelyard.sources.csv_lines import CsvLines, Record, shown, unfit
from modelyard.sources.files import Content
from modelyard.use_case import RecordKey, UseCase

Field = RecordKey | Feature | Target

# What is read at a time: several ten thousand records of a usual file.
BLOCK_BYTES = 4 * 1024 * 1024
# What columns are separated by; the first where it makes no difference.
SEPARATORS = (",", ";", "\t", "|")
# So much of a file is looked at to find out.
HEADER_BYTES = 1024 * 1024
# What helps most files that are no UTF-8: it is how programs on Windows save them.
TO_UTF8 = "save it as UTF-8, or: iconv -f WINDOWS-1252 -t UTF-8 in.csv > out.csv"
# How files begin that are often taken for CSV, what they are, and what to do.
OTHER_FORMATS = {
    b"PK\x03\x04": "a workbook of Excel or another zip file: save its table as CSV in UTF-8",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel: save its table as CSV in UTF-8",
    b"PAR1\x15": "a Parquet file: write its table as CSV",
    b"\x1f\x8b": "compressed with gzip: give it a name that ends in .csv.gz",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
}
# A first line that tells Excel what separates the columns, and names none.
SEPARATOR_LINE = re.compile(rb'"?sep=[,;\t|]"?\r?\n', re.IGNORECASE)
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Longer lines are not read into memory.
LONGEST_LINE_BYTES = 16 * 1024 * 1024
# The csv module takes no longer cell, so a line that may have one is left to it.
LONGEST_PLAIN_LINE_BYTES = 128 * 1024


@dataclass(frozen=True)
class Cells:
    """Some of a file's records, each cell as it stands there.

    Attributes:
        lines: Where each record begins, of shape (records,).
        columns: The cells of each declared field, empty ones null.
        rejected: What stood between these records and is none.
        text: Gives a record's text by its position.
    """

    lines: NDArray[np.int64]
    columns: Mapping[str, pa.StringArray]
    rejected: list[Rejection]
    text: Callable[[int], str]


class CsvFile:
    """A CSV file that is being read for a use case.

    Its first record names the columns. A column is found by its field's alias; if none is spelled just so, by the
    field's name or an alias, where capitals do not matter, and what is neither letter nor digit is as good as an
    underscore. The columns are separated by that sign of SEPARATORS by which the first record has most cells. A line
    before it that tells Excel what separates them (`sep=;`) is passed over.

    Attributes:
        source: Where it was opened.
        separator: What the columns are separated by.
        columns: The columns' names in the file.
        positions: The position of each declared field's column.
        ignored: The columns that no field is declared for.
    """

    def __init__(
        self,
        content: Content,
        use_case: UseCase | None = None,
        *,
        fields: Sequence[Field] = (),
        optional: Sequence[Field] = (),
    ) -> None:
        """Reads the first record.

        Args:
            content: What is in the file.
            use_case: Declares the fields. Without one and without fields, every column is a field, under its number
                from 0 on.
            fields: The fields, where no use case declares them.
            optional: Fields beside these that need not be there.

        Raises:
            BadInput: The file is empty or is no text; a field has no column, or two.
            ServiceUnavailable: The server that has the file stopped answering.
        """
        self.source = content.source
        self._content = content
        self._line = 1
        self._rest = content.read(BLOCK_BYTES).removeprefix(BYTE_ORDER_MARK)
        if other := next((what for start, what in OTHER_FORMATS.items() if self._rest.startswith(start)), ""):
            raise BadInput(f"{self.source} is no CSV file but {other}")
        if separator_line := SEPARATOR_LINE.match(self._rest):
            self._rest = self._rest[separator_line.end() :]
            self._line += 1
        self.separator = _separator(self._rest[:HEADER_BYTES])
        self.columns = self._read_header()
        wanted = _fields(use_case) if use_case else [*fields, *(f for f in optional if _positions(self.columns, f))]
        self.positions = _found(self.source, self.columns, wanted) if wanted else _all(self.columns)
        declared = set(self.positions.values())
        self.ignored = tuple(name for position, name in enumerate(self.columns) if position not in declared)

    def title(self, field: str) -> str:
        """A field's column as the file names it; the field's own name when the column has none."""
        return self.columns[self.positions[field]] or field

    def cells(self) -> Iterator[Cells]:
        """All records after the first, some thousands at a time.

        Raises:
            BadInput: The file is damaged, or a line is longer than can be read.
            ServiceUnavailable: The server that has the file stopped answering.
        """
        while block := self._whole_lines():
            yield self._plain_cells(block) or self._careful_cells(block)

    def _whole_lines(self) -> bytes:
        pieces: list[bytes] = []
        block = self._rest or self._content.read(BLOCK_BYTES)
        while block:
            cut = block.rfind(b"\n") + 1
            pieces.append(block[:cut] if cut else block)
            if cut:
                break
            if sum(map(len, pieces)) > LONGEST_LINE_BYTES:
                raise BadInput(f"{self.source}: line {self._line} is longer than {LONGEST_LINE_BYTES // 1024**2} MB")
            block = self._content.read(BLOCK_BYTES)
        self._rest = block[cut:] if block else b""
        return b"".join(pieces)

    def _read_header(self) -> tuple[str, ...]:
        lines = CsvLines(self._whole_lines(), self._line, self._whole_lines, self.separator)
        header = next((record for record in lines.records() if record.cells or record.problem), None)
        if header is None:
            raise BadInput(f"{self.source} is empty: its first line must name the columns")
        problem = header.problem or next(filter(None, map(unfit, header.cells)), "")
        if problem:
            where = f"{self.source}, line {header.line}"
            raise BadInput(f"{where}: the line of the columns' names {problem}. Is this a CSV file? Then {TO_UTF8}")
        self._rest = lines.rest() + self._rest
        self._line = lines.line
        return tuple(header.cells)

    def _plain_cells(self, block: bytes) -> Cells | None:
        if b'"' in block or b"\0" in block or not _is_utf8(block) or _has_long_line(block):
            return None
        try:
            table = pyarrow.csv.read_csv(pa.BufferReader(block), **self._plain_options(len(block)))
        except pa.ArrowInvalid:
            return None
        lines = block.count(b"\n") + (not block.endswith(b"\n"))
        if table.num_rows != lines:
            return None
        numbers = np.arange(self._line, self._line + lines)
        self._line += lines
        columns = {name: table.column(str(position)).combine_chunks() for name, position in self.positions.items()}
        return Cells(numbers, columns, [], _PlainText(block))

    def _plain_options(self, size: int) -> dict[str, object]:
        wanted = [str(position) for position in self.positions.values()]
        return {
            "read_options": pyarrow.csv.ReadOptions(
                use_threads=False, block_size=size + 1, column_names=[str(n) for n in range(len(self.columns))]
            ),
            "parse_options": pyarrow.csv.ParseOptions(delimiter=self.separator),
            "convert_options": pyarrow.csv.ConvertOptions(
                include_columns=wanted,
                column_types=dict.fromkeys(wanted, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                check_utf8=False,
            ),
        }

    def _careful_cells(self, block: bytes) -> Cells:
        lines = CsvLines(block, self._line, self._whole_lines, self.separator)
        records, rejected = [], []
        for record in lines.records():
            column, problem = self._trouble(record)
            if problem:
                rejected.append(Rejection(record.line, column, problem, shown(record.text)))
            elif record.cells:
                records.append(record)
        self._line = lines.line
        columns = {
            name: pa.array([record.cells[position] or None for record in records], pa.string())
            for name, position in self.positions.items()
        }
        numbers = np.array([record.line for record in records], np.int64)
        return Cells(numbers, columns, rejected, lambda position: shown(records[position].text))

    def _trouble(self, record: Record) -> tuple[str, str]:
        if record.problem or not record.cells:
            return "", record.problem
        if len(record.cells) != len(self.columns):
            return "", f"has {len(record.cells)} cells where the header has {len(self.columns)}"
        for name, position in self.positions.items():
            if problem := unfit(record.cells[position]):
                return self.title(name), problem
        return "", ""


class _PlainText:
    """The text of a plain block's records: they are split only when one is asked for."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._lines: list[bytes] = []

    def __call__(self, position: int) -> str:
        self._lines = self._lines or self._block.splitlines()
        return shown(self._lines[position])


def _all(columns: tuple[str, ...]) -> dict[str, int]:
    return {str(position): position for position in range(len(columns))}


def _found(source: str, columns: tuple[str, ...], fields: Sequence[Field]) -> dict[str, int]:
    found = {field.name: _positions(columns, field) for field in fields}
    missing = [field for field, positions in found.items() if not positions]
    if missing:
        # A first line in which nothing is known may be anything, and messages end in logs that others read.
        if len(missing) == len(found):
            raise BadInput(f"{source}, line 1 names none of the columns: {', '.join(missing)}. Is this the right file?")
        there = ", ".join(map(repr, columns))
        raise BadInput(f"{source}, line 1: there is no column for {', '.join(missing)}; the columns are {there}")
    for field, positions in found.items():
        if len(positions) > 1:
            twice = " and ".join(f"{columns[position]!r}, column {position + 1}" for position in positions)
            raise BadInput(f"{source}, line 1: {field} is there more than once ({twice}): only one can be meant")
    return {field: positions[0] for field, positions in found.items()}


def _fields(use_case: UseCase) -> list[Field]:
    return [*([use_case.key] if use_case.key else []), *use_case.features, use_case.target, *carried_columns(use_case)]


def carried_columns(use_case: UseCase) -> list[RecordKey]:
    """The columns of group and time that are no features, by their names and aliases."""
    aliases = use_case.split.aliases
    return [RecordKey(name=name, aliases=aliases.get(name, ())) for name in use_case.contract().carried]


def _positions(columns: tuple[str, ...], field: Field) -> list[int]:
    """Where the columns are that can be a field's."""
    if exact := [position for position, column in enumerate(columns) if column in field.aliases]:
        return exact
    spellings = {spelled(name) for name in (field.name, *field.aliases)}
    return [position for position, column in enumerate(columns) if spelled(column) in spellings]


def spelled(name: str) -> str:
    """A column's name as others are that mean the same."""
    return re.sub(r"\W+", "_", name.strip().casefold())


def _separator(block: bytes) -> str:
    return max(SEPARATORS, key=lambda separator: _columns_by(separator, block))


def _columns_by(separator: str, block: bytes) -> int:
    """How many columns a file has that begins so, if that separates them; 0: it separates nothing."""
    records = CsvLines(block, 1, bytes, separator).records()
    columns = next((len(record.cells) for record in records if record.cells or record.problem), 0)
    return columns if columns > 1 else 0


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_long_line(block: bytes) -> bool:
    position = 0
    while len(block) - position > LONGEST_PLAIN_LINE_BYTES:
        position = block.rfind(b"\n", position, position + LONGEST_PLAIN_LINE_BYTES) + 1
        if not position:
            return True
    return False

"""From the cells of a file to records that fit their contract, and what is wrong with those that do not."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modelyard.contract import Feature, Target
from modelyard.frames import MISSING, Violation, frame_of, schema_of, violations
from modelyard.records import Records, Rejection
from modelyard.sources.csv_file import Cells, CsvFile
from modelyard.sources.values import FAR_AHEAD, TEXTS, TIMES, Reading, Values, far_ahead, reading_of
from modelyard.use_case import UseCase

# A key is part of an index, and an entry of an index has its limits.
LONGEST_KEY_BYTES = 2_000
# Of a cell, a message shows so many characters.
SHOWN_CHARACTERS = 60
# Between the parts of the text that a record's key is made of, and between name and value.
PART, EQUALS = "\x1f", "\x1e"
KEY_BYTES = 16

Problems = dict[int, tuple[str, str]]


def read_records(file: CsvFile, use_case: UseCase) -> Iterator[Records]:
    """All records of a file, some thousands at a time, checked against the use case's contract.

    Raises:
        BadInput: The file is damaged, or a line is longer than can be read.
        ServiceUnavailable: The server that has the file stopped answering.
    """
    reader = _RecordReader(file, use_case)
    for cells in file.cells():
        yield reader.records(cells)


class _RecordReader:
    def __init__(self, file: CsvFile, use_case: UseCase) -> None:
        self._file = file
        self._contract = use_case.contract()
        self._key = use_case.key.name if use_case.key else None
        fields: list[Feature | Target] = [*use_case.features, use_case.target]
        self._readings = {field.name: reading_of(field, use_case.decimal) for field in fields}
        # What a split goes by is always there, and a time can always be read.
        time = use_case.split.time
        self._needed = {name: TIMES if name == time else TEXTS for name in use_case.split.columns}
        self._readings |= {name: self._needed[name] for name in self._contract.carried}
        self._schema = schema_of(self._contract)

    def records(self, cells: Cells) -> Records:
        columns = {name: reading.read(cells.columns[name]) for name, reading in self._readings.items()}
        values = {name: column.values for name, column in columns.items()}
        keys = cells.columns[self._key] if self._key else content_keys(values)
        problems = self._problems(cells, columns)
        table = pa.table({"record_key": keys, "line": cells.lines, **values})
        if not problems:
            return Records(table, cells.rejected)
        kept = np.ones(table.num_rows, dtype=bool)
        kept[list(problems)] = False
        rejected = [self._rejection(cells, position, *problem) for position, problem in problems.items()]
        return Records(table.filter(pa.array(kept)), sorted(cells.rejected + rejected, key=lambda each: each.line))

    def _problems(self, cells: Cells, columns: Mapping[str, Values]) -> Problems:
        """The first problem of each record that has any."""
        found = _key_problems(cells.columns[self._key], self._key) if self._key else {}
        disallowed: dict[str, list[Violation]] = defaultdict(list)
        table = pa.table({name: column.values for name, column in columns.items()})
        for violation in violations(frame_of(table, self._contract), self._schema):
            disallowed[violation.column].append(violation)
        for name, reading in self._readings.items():
            for position in columns[name].unreadable.tolist():
                found.setdefault(position, (name, reading.complaint))
            for violation in disallowed[name]:
                found.setdefault(violation.row, (name, violation.reason))
        for name, reading in self._needed.items():
            for position, problem in _problems_of_split(reading, cells.columns[name]):
                found.setdefault(position, (name, problem))
        return found

    def _rejection(self, cells: Cells, position: int, field: str, reason: str) -> Rejection:
        cell = cells.columns[field][position].as_py()
        what = reason if cell is None else f"{_short(cell)} {reason}"
        return Rejection(int(cells.lines[position]), self._file.title(field), what, cells.text(position))


def content_keys(values: Mapping[str, pa.Array]) -> pa.StringArray:
    """A key for each record that follows from its values alone.

    A missing value adds nothing to the key: a feature that is declared later leaves older records their keys.

    Args:
        values: A column of values for each field.
    """
    parts = [
        pc.binary_join_element_wise(f"{name}{EQUALS}", _as_text(column), "", null_handling="emit_null")
        for name, column in sorted(values.items())
    ]
    texts = pc.binary_join_element_wise(*parts, PART, null_handling="skip").to_pylist()
    return pa.array([hashlib.blake2b(text.encode(), digest_size=KEY_BYTES).hexdigest() for text in texts], pa.string())


def _as_text(column: pa.Array) -> pa.StringArray:
    if pa.types.is_floating(column.type):
        # The bits of a number: how decimals are written can change. Adding zero makes -0 the same as 0.
        column = pc.add(column, 0.0).view(pa.int64())
    return pc.cast(column, pa.string())


def _problems_of_split(reading: Reading, cells: pa.StringArray) -> Iterator[tuple[int, str]]:
    """Where a record cannot be told to be on a side, with the reason."""
    needed = reading.read(cells)
    yield from ((position, reading.complaint) for position in needed.unreadable.tolist())
    missing = np.flatnonzero(needed.values.is_null().to_numpy(zero_copy_only=False))
    yield from ((position, MISSING) for position in missing.tolist())
    if reading is TIMES:
        yield from ((position, FAR_AHEAD) for position in far_ahead(needed.values).tolist())


def _key_problems(keys: pa.StringArray, field: str) -> Problems:
    lengths = pc.fill_null(pc.binary_length(keys), 0).to_numpy()
    missing = dict.fromkeys(np.flatnonzero(lengths == 0).tolist(), (field, MISSING))
    too_long = (field, f"is longer than a key may be ({LONGEST_KEY_BYTES} bytes)")
    return missing | dict.fromkeys(np.flatnonzero(lengths > LONGEST_KEY_BYTES).tolist(), too_long)


def _short(cell: str) -> str:
    return repr(cell if len(cell) <= SHOWN_CHARACTERS else f"{cell[:SHOWN_CHARACTERS]}…")

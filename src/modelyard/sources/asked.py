"""Records that a model is asked about: no target in them, and one that is wrong is said to be so and left out."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from modelyard.contract import Arrays, Contract
from modelyard.frames import frame_of, schema_of, violations
from modelyard.sources.csv_file import Cells, CsvFile
from modelyard.sources.files import Content
from modelyard.sources.values import Values, reading_of
from modelyard.use_case import RecordKey

# By a record's position.
Problems = dict[int, str]


class Asked(NamedTuple):
    """Some records of a source.

    Attributes:
        lines: Where each begins; the first line is 1.
        keys: What names each, where the source has a column for that.
        beside: The cells of group and time, as far as these are no features and the source has them.
        features: A column of values for each feature.
        usable: The positions of those that the model can be asked about.
        arrays: The model's inputs for these.
        problems: What is wrong with each of the others, by its position.
        unreadable: What stood between them and is no record: line and what is wrong.
        sha256: Hash of the source as far as it was read.
    """

    lines: np.ndarray
    keys: pa.StringArray | None
    beside: dict[str, pa.StringArray]
    features: pa.Table
    usable: np.ndarray
    arrays: Arrays
    problems: Problems
    unreadable: list[tuple[int, str]]
    sha256: str


class AskedRecords:
    """Reads a source of records for a model.

    Args:
        content: CSV, the first line of which names the columns.
        contract: What the model takes.
        key: The column that names a record, if the use case has one; a source may do without.
        decimal: What stands before the decimals of numbers.
        beside: Other columns that are kept with a record, where a source has them.

    Raises:
        BadInput: The source is empty or is no text, or a feature has no column.
    """

    def __init__(
        self,
        content: Content,
        contract: Contract,
        key: RecordKey | None,
        decimal: str = ".",
        beside: Sequence[RecordKey] = (),
    ) -> None:
        self._content = content
        self._contract = contract
        self._file = CsvFile(content, fields=contract.features, optional=[*([key] if key else []), *beside])
        self._key = key.name if key and key.name in self._file.positions else None
        self._beside = [each.name for each in beside if each.name in self._file.positions]
        self._readings = {feature.name: reading_of(feature, decimal) for feature in contract.features}
        self._schema = schema_of(contract)

    def pages(self) -> Iterator[Asked]:
        """The records, some thousands at a time: always the same ones together.

        Raises:
            BadInput: The source is damaged.
            ServiceUnavailable: The server that has it stopped answering.
        """
        for cells in self._file.cells():
            yield self._page(cells)

    def _page(self, cells: Cells) -> Asked:
        columns = {name: reading.read(cells.columns[name]) for name, reading in self._readings.items()}
        features = pa.table({name: column.values for name, column in columns.items()})
        problems = self._problems(cells, columns, features)
        usable = np.setdiff1d(np.arange(features.num_rows), np.fromiter(problems, np.int64, len(problems)))
        frame = frame_of(self._with_target(features.take(pa.array(usable))), self._contract)
        arrays = {
            f.name: frame[f.name].to_numpy(np.float32 if f.is_numeric else object).reshape(-1, 1)
            for f in self._contract.features
        }
        keys = cells.columns[self._key] if self._key else None
        unreadable = [(each.line, each.reason) for each in cells.rejected]
        beside = {name: cells.columns[name] for name in self._beside}
        return Asked(cells.lines, keys, beside, features, usable, arrays, problems, unreadable, self._content.sha256)

    def _problems(self, cells: Cells, columns: dict[str, Values], features: pa.Table) -> Problems:
        found: Problems = {}
        for name, reading in self._readings.items():
            for position in columns[name].unreadable.tolist():
                cell = cells.columns[name][position].as_py()
                found.setdefault(position, f"{name}: {cell[:60]!r} {reading.complaint}")
        for violation in violations(frame_of(self._with_target(features), self._contract), self._schema):
            found.setdefault(int(violation.row), f"{violation.column} {violation.reason}")
        return found

    def _with_target(self, features: pa.Table) -> pa.Table:
        """With any allowed value as target, since what is checked here are the features."""
        target = self._contract.target
        value = target.classes[0] if target.classes else 0.0
        return features.append_column(target.name, pa.array([value] * features.num_rows))

"""Records on their way from a source to a store."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Rejection:
    """A record that cannot be used.

    Attributes:
        line: Where it begins in the file; the first line is 1.
        column: The column that is wrong, by its name in the file; empty: the record as a whole.
        reason: What is wrong, as the rest of a sentence.
        record: The record's text, cut off when it is long.
    """

    line: int
    column: str
    reason: str
    record: str


@dataclass(frozen=True)
class Records:
    """Some of a source's records.

    Attributes:
        accepted: Columns `record_key`, `line`, one for each feature, the target, group and time. Without a declared
            key, `record_key` is made from the values, so that equal records have equal keys.
        rejected: Those that cannot be used.
    """

    accepted: "pa.Table"
    rejected: list[Rejection]

    @property
    def read(self) -> int:
        """How many records these were in the source."""
        return len(self.accepted) + len(self.rejected)

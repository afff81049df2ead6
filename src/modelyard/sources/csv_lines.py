"""CSV record by record, through the standard library's reader: slower, and it knows where each record begins."""

import csv
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

# Of a record's text, so many characters are kept.
KEPT_CHARACTERS = 4_000


class Record(NamedTuple):
    """One record of a file.

    Attributes:
        line: Where it begins.
        text: Its bytes.
        cells: What it consists of; nothing: a blank line, or no record.
        problem: Why it is no record; empty when it is one.
    """

    line: int
    text: bytes
    cells: list[str]
    problem: str


class CsvLines:
    """Lines that are read as records; bytes that are no UTF-8 become lone surrogates.

    Attributes:
        line: Number of the line after the last record that was handed out.
    """

    def __init__(self, block: bytes, line: int, more: Callable[[], bytes], separator: str = ",") -> None:
        """Nothing is read yet.

        Args:
            block: Whole lines.
            line: Number of the first of them.
            more: Gives the lines behind these, for a record that does not end with them.
            separator: Of the cells.
        """
        self.line = line
        self._pending = deque(block.splitlines(keepends=True))
        self._taken: list[bytes] = []
        self._more = more
        self._separator = separator

    def records(self) -> Iterator[Record]:
        """The records that begin in the block."""
        reader = csv.reader(self, strict=True, delimiter=self._separator)
        while self._pending:
            self._taken.clear()
            try:
                cells, problem = next(reader), ""
            except csv.Error as error:
                cells, problem = [], f"is no record of a CSV file: {error}"
                self._put_back_all_but_one()
            line, self.line = self.line, self.line + len(self._taken)
            is_blank = len(cells) == 1 and not cells[0].strip()
            yield Record(line, b"".join(self._taken), [] if is_blank else cells, problem)

    def rest(self) -> bytes:
        """The lines behind the last record that was handed out."""
        return b"".join(self._pending)

    def __iter__(self) -> "CsvLines":
        return self

    def __next__(self) -> str:
        """The reader takes a line."""
        if not self._pending:
            self._pending.extend(self._more().splitlines(keepends=True))
        if not self._pending:
            raise StopIteration
        self._taken.append(self._pending.popleft())
        return self._taken[-1].decode("utf-8", "surrogateescape")

    def _put_back_all_but_one(self) -> None:
        # A quote that nobody closed costs its own line, not those behind it.
        self._pending.extendleft(reversed(self._taken[1:]))
        del self._taken[1:]


def shown(text: bytes) -> str:
    """A record's text as it can be kept and printed: no null bytes, no broken characters, not endless."""
    kept = text.rstrip(b"\r\n").decode("utf-8", "backslashreplace").replace("\0", "\\x00")
    return kept if len(kept) <= KEPT_CHARACTERS else f"{kept[:KEPT_CHARACTERS]}…"


def unfit(cell: str) -> str:
    """What keeps a cell from being text, as the rest of a sentence; empty when it is text."""
    if "\0" in cell:
        return "holds a null byte"
    if cell.isascii():
        return ""
    broken = next((character for character in cell if "\ud800" <= character <= "\udfff"), None)
    return f"is not UTF-8 text: it holds the byte 0x{ord(broken) - 0xDC00:02x}" if broken else ""

"""COPY: many rows into or out of a table at once, with the client and the server at work at the same time."""

from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from typing import TYPE_CHECKING

import psycopg2
from sqlalchemy import Connection, TextClause
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from modelyard.stores.database import unavailable

if TYPE_CHECKING:
    import pyarrow as pa

# What goes to the server at a time.
PIECE_BYTES = 256 * 1024
# What is parsed at a time; no row is longer.
BLOCK_BYTES = 64 * 1024 * 1024
# What is formatted at a time: twice as fast as by the default of 1024.
FORMATTED_ROWS = 16 * 1024
# How many chunks are made before they are asked for.
AHEAD = 2


def copy_in(connection: Connection, copy: TextClause, chunks: Iterator[bytes]) -> None:
    """Sends rows to a table. The next chunk is made while the server takes the one before.

    Args:
        connection: In a transaction.
        copy: `copy … from stdin`.
        chunks: Pieces of the text, of any size; made in a thread of their own.

    Raises:
        ServiceUnavailable: The server was lost.
        DBAPIError: The server refused the rows.
        Exception: What making the chunks raised.
    """
    with closing(_ahead(chunks)) as made, closing(connection.connection.cursor()) as cursor:
        text = _Text(made)
        try:
            cursor.copy_expert(copy.text, text, size=PIECE_BYTES)
        except psycopg2.Error as error:
            # The driver tells the server why it gave up, and us only what the server said to that.
            raise text.failure or _explained(connection, copy, error) from error


def copy_out(connection: Connection, copy: TextClause, parameters: dict[str, object] | None = None) -> bytes:
    """Fetches rows as text.

    Args:
        connection: In a transaction.
        copy: `copy … to stdout`; takes parameters as `%(name)s`.
        parameters: What they stand for.

    Raises:
        ServiceUnavailable: The server was lost.
    """
    text = BytesIO()
    with closing(connection.connection.cursor()) as cursor:
        try:
            cursor.copy_expert(cursor.mogrify(copy.text, parameters), text)
        except psycopg2.Error as error:
            raise _explained(connection, copy, error) from error
    return text.getvalue()


def to_csv(table: "pa.Table") -> bytes:
    """A table as `copy_in` sends it: nulls are empty, texts are quoted."""
    import pyarrow.csv

    text = BytesIO()
    pyarrow.csv.write_csv(table, text, pyarrow.csv.WriteOptions(include_header=False, batch_size=FORMATTED_ROWS))
    return text.getvalue()


def from_csv(text: bytes, columns: "pa.Schema") -> "pa.Table":
    """What `copy_out` fetched, as a table with these columns."""
    import pyarrow.csv

    if not text:
        return columns.empty_table()
    return pyarrow.csv.read_csv(
        BytesIO(text),
        pyarrow.csv.ReadOptions(column_names=columns.names, block_size=min(len(text) + 1, BLOCK_BYTES)),
        pyarrow.csv.ParseOptions(newlines_in_values=True),
        pyarrow.csv.ConvertOptions(
            column_types=columns,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


class _Text:
    """Chunks as the file that the driver reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.failure: BaseException | None = None
        self._chunks = chunks
        self._chunk = memoryview(b"")

    def read(self, size: int) -> bytes:
        try:
            while not self._chunk:
                self._chunk = memoryview(next(self._chunks))
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        piece, self._chunk = self._chunk[:size], self._chunk[size:]
        return piece.tobytes()


def _ahead(items: Iterator[bytes]) -> Generator[bytes]:
    """The same items, each made in a thread before it is asked for."""
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:
        pending = deque(thread.submit(next, items, None) for _ in range(AHEAD))
        while (item := pending.popleft().result()) is not None:
            pending.append(thread.submit(next, items, None))
            yield item


def _explained(connection: Connection, copy: TextClause, error: psycopg2.Error) -> Exception:
    raised = DBAPIError.instance(copy.text, None, error, psycopg2.Error)
    if isinstance(raised, OperationalError | InterfaceError):
        return unavailable(connection.engine, raised)
    return raised

"""A table of one of the two databases as a source: its rows as CSV, in one order, as a stream."""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import BinaryIO

from modelyard.sources.files import Content

Writer = Callable[[BinaryIO], object]

TABLE = re.compile(r"(raw_data|clean_data)\.([a-z][a-z0-9_]*)")


def table_of(name: str) -> tuple[str, str] | None:
    """The database and the table that a name such as `raw_data.customers` means; None: it is no table's."""
    found = TABLE.fullmatch(name)
    return (found[1], found[2]) if found else None


@contextmanager
def streamed(name: str, write: Writer) -> Iterator[Content]:
    """What a function writes, to be read while it writes.

    Args:
        name: What messages call it.
        write: Writes everything to the file that it is given, in a thread of its own.
    """
    reading, writing = os.pipe()
    with ThreadPoolExecutor(1, thread_name_prefix="table") as thread, os.fdopen(reading, "rb") as source:
        work = thread.submit(_write, write, writing)
        try:
            yield Content(name, source)
        finally:
            # Whoever reads no more lets the writer end, which finds nobody at the other end.
            source.close()
            with suppress(BrokenPipeError):
                work.result()


def _write(write: Writer, descriptor: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        write(file)

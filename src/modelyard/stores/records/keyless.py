"""How a later file of a use case without a key is merged: the whole table again, or other records.

Such records are known by what they hold. Two that hold the same are two records all the same, numbered `KEY`, `KEY-2`,
`KEY-3`; whether an equal one of a later file is one of them or another one, only the file as a whole can show.
"""

import logging
from typing import Literal, NamedTuple

from sqlalchemy import Connection

from modelyard.stores.database import statement
from modelyard.use_case import LaterFile, UseCase

LOGGER = logging.getLogger(__name__)

TakenAs = LaterFile | Literal["again"]
# Above every batch's number.
ALL_BATCHES = 2**62
WHOLE = (
    "%s holds all %d records that were there: it was taken for the whole table again, and only records beyond them "
    'were added. If it holds other records, load it again with --records other; records="other" in the use case '
    "says so for every file"
)
OTHER = (
    "%s holds %d of the %d records that were there, and not all: it was taken for other records, and all of them "
    "were added. If it brings the same records again, load it again with --records whole, which adds only those that "
    'are not there; records="whole" in the use case says so for every file'
)


class Staged(NamedTuple):
    """A later file, whose records wait to be merged.

    Attributes:
        use_case: Whose they are.
        batch_id: The batch that they become.
        source: Where they come from, for people.
        sha256: Hash of the content there.
        table: The use case's table, quoted.
        staging: The table that they wait in, quoted.
        columns: The columns of the contract, quoted.
    """

    use_case: UseCase
    batch_id: int
    source: str
    sha256: str
    table: str
    staging: str
    columns: str


class _Known(NamedTuple):
    """The batches whose records the file brings again: all up to one, and some besides."""

    until: int = 0
    batches: tuple[int, ...] = ()


def merge_contents(connection: Connection, file: Staged, said: LaterFile | None) -> tuple[int, TakenAs]:
    """Merges a file's records with those that are there, and says in the log what it was taken for and why.

    Content that was loaded before brings its own records again, however it is read now. Otherwise an explicit choice
    counts. Without one, a file is the whole table again if it holds every record that is there, as often as it is
    there.

    Args:
        connection: In a transaction that no other load of the use case can come into.
        file: The records.
        said: What the file is, as chosen explicitly; None: no choice was made.

    Returns:
        How many records were added, and what the file was taken for.
    """
    earlier = _earlier(connection, file)
    if earlier:
        LOGGER.info("%s was loaded before: what could be read of it then is known", file.source)
        return _merge(connection, file, earlier), "again"
    taken_as = said or _assume(connection, file)
    return _merge(connection, file, _Known(until=ALL_BATCHES if taken_as == "whole" else 0)), taken_as


def _earlier(connection: Connection, file: Staged) -> _Known | None:
    """The batches that this content brought its records with, when it was read as the use case was declared then."""
    content = {"use_case": file.use_case.data_name, "sha256": file.sha256, "batch_id": file.batch_id}
    rows = connection.execute(statement("batches_of_content"), content).all()
    if not rows:
        return None
    # What was the whole of its time held what had come before it.
    until = max((row.batch_id for row in rows if row.taken_as in (None, "whole")), default=0)
    return _Known(until, tuple(row.batch_id for row in rows))


def _assume(connection: Connection, file: Staged) -> LaterFile:
    counted = connection.execute(statement("count_held", table=file.table, staging=file.staging)).one()
    if counted.held == counted.there:
        LOGGER.warning(WHOLE, file.source, counted.there)
        return "whole"
    LOGGER.warning(OTHER, file.source, counted.held, counted.there)
    return "other"


def _merge(connection: Connection, file: Staged, known: _Known) -> int:
    merge = statement("merge_contents", table=file.table, staging=file.staging, columns=file.columns)
    return connection.execute(merge, {"until": known.until, "batches": list(known.batches)}).rowcount

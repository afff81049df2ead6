"""Deletes what the two databases have of a use case."""

from sqlalchemy import Connection, Engine

from modelyard.stores.database import quoted, statement, transaction
from modelyard.stores.records import tables


def data_names(raw: Engine, clean: Engine, use_case: str) -> set[str]:
    """What records and snapshots of a use case may be kept under, as far as there are any.

    Another use case can have such a name, too, where its own begins with this one's and two underscores.

    Raises:
        ServiceUnavailable: A database does not answer.
    """
    found: set[str] = set()
    for engine, name in ((raw, "raw_data_names"), (clean, "clean_data_names")):
        with transaction(engine) as connection:
            found |= set(connection.scalars(statement(name), {"use_case": use_case}))
    return found


def delete_data(raw: Engine, clean: Engine, data_name: str) -> None:
    """Deletes records and snapshots, all of each database or nothing of it.

    Args:
        raw: `raw_data`.
        clean: `clean_data`.
        data_name: What they are kept under.

    Raises:
        ServiceUnavailable: A database does not answer.
    """
    for engine, name in ((clean, "remove_clean_data"), (raw, "remove_raw_data")):
        with transaction(engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": data_name})
            _drop(connection, data_name)
            connection.execute(statement(name), {"data_name": data_name})


def delete_rows(raw: Engine, use_case: str) -> int:
    """Deletes predictions, keys, results of steps and verdicts of a use case, and tells how many predictions it had.

    Raises:
        ServiceUnavailable: The database does not answer.
    """
    with transaction(raw) as connection:
        return int(connection.scalar(statement("remove_use_case"), {"use_case": use_case}) or 0)


def _drop(connection: Connection, table: str) -> None:
    """A table of records goes with all its partitions."""
    if tables.exists(connection, table):
        connection.execute(statement("drop_table", table=quoted(connection, table)))

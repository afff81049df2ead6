"""`raw_data`: what came in. A table for each use case, its batches, and the records that were rejected."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Engine

from modelyard.records import Records
from modelyard.stores.database import quoted, statement, transaction
from modelyard.stores.records import tables
from modelyard.stores.records.batches import OWN_COLUMNS, Batch, add_batch, find_batch, remove_batch
from modelyard.stores.records.copying import copy_out, from_csv
from modelyard.use_case import LaterFile, UseCase

if TYPE_CHECKING:
    import pyarrow as pa

# Records that are fetched at a time.
PAGE_ROWS = 100_000


class Latest(NamedTuple):
    """The newest revision of each record of a use case.

    Attributes:
        batches: What the records follow from, as `RawStore.batches` gives it.
        pages: Gives the records in the order of their keys, some thousands at a time: columns `record_key`, one for
            each feature, the target, group and time. They can be asked for again while this is open.
    """

    batches: list[list[str]]
    pages: Callable[[], Iterator["pa.Table"]]


class RawStore:
    """The database `raw_data`, as far as it is about records."""

    def __init__(self, engine: Engine) -> None:
        """Works on that engine."""
        self.engine = engine

    def counts(self, use_case: str, data_name: str | None = None) -> dict[str, int]:
        """How many rows there are of a use case: revisions of records (`raw`), `rejected` records, `predictions`.

        Predictions are the answers of the API; what challengers and scorings said is in the same table and not counted.

        Args:
            use_case: Its name.
            data_name: What its records are kept under; None: its name.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            records = data_name or use_case
            return {
                "raw": _count_records(connection, records),
                "rejected": _count(connection, "count_rejected", records),
                "predictions": _count(connection, "count_predictions", use_case),
            }

    def find_batch(self, use_case: UseCase, sha256: str) -> Batch | None:
        """The batch with that content, if it was read as the use case is declared now.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            return find_batch(connection, use_case, sha256)

    def add_batch(
        self,
        use_case: UseCase,
        sha256: str,
        source: str,
        records: Iterable[Records],
        allowed_bad_share: float,
        said: LaterFile | None = None,
    ) -> Batch:
        """Adds a batch of records, all of it or nothing. A batch that is there already is not added again.

        Args:
            use_case: What the records are of.
            sha256: Hash of the source's content.
            source: Where that is, for people.
            records: The source's records; they are read in a thread of their own.
            allowed_bad_share: With a greater share of rejected records nothing is added.
            said: What this file is, where the use case has no key; None: what the use case says, or what the file
                shows. The newest batch that was taken for something else is taken anew.

        Raises:
            BadInput: There are no records, or too many were rejected; the message names the first of these. Or the
                batch was taken for something else, and others came after it.
            ContractChanged: The contract no longer fits the use case's table.
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": use_case.data_name})
            known = find_batch(connection, use_case, sha256)
            if known and known.is_as(said):
                return known
            if known:
                remove_batch(connection, use_case, known)
            return add_batch(connection, use_case, sha256, source, records, allowed_bad_share, said)

    def batches(self, use_case: str) -> list[list[str]]:
        """What the records of a use case follow from: its batches in order, hash of the content and of the declaration.

        The latter says, too, if they were taken for other records. Batches that brought nothing are left out.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            return _batches(connection, use_case)

    @contextmanager
    def latest(self, use_case: UseCase) -> Iterator[Latest]:
        """The newest revision of each record, as it is now, whatever is loaded meanwhile.

        Raises:
            ContractChanged: The contract no longer fits the use case's table.
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine.execution_options(isolation_level="REPEATABLE READ")) as connection:
            tables.fit_table(connection, use_case.data_name, use_case.contract(), OWN_COLUMNS)
            yield Latest(_batches(connection, use_case.data_name), partial(_pages, connection, use_case))


def _count_records(connection: Connection, use_case: str) -> int:
    if not tables.exists(connection, use_case):
        return 0
    return int(connection.execute(statement("count_rows", table=quoted(connection, use_case))).scalar_one())


def _count(connection: Connection, name: str, use_case: str) -> int:
    return int(connection.execute(statement(name), {"use_case": use_case}).scalar_one())


def _batches(connection: Connection, use_case: str) -> list[list[str]]:
    return [list(row) for row in connection.execute(statement("effective_batches"), {"use_case": use_case})]


def _pages(connection: Connection, use_case: UseCase) -> Iterator["pa.Table"]:
    contract = use_case.contract()
    names = ", ".join(tables.names(connection, contract))
    page = statement("copy_latest_records", table=quoted(connection, use_case.data_name), columns=names)
    after = ""
    while text := copy_out(connection, page, {"after": after, "limit": PAGE_ROWS}):
        records = from_csv(text, tables.arrow_columns(contract))
        yield records
        after = records["record_key"][-1].as_py()

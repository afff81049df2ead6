"""How a batch of records gets into its use case's table: all of it or nothing, and each record once."""

import csv
import hashlib
import json
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from tempfile import SpooledTemporaryFile
from typing import IO, Any, cast

from sqlalchemy import Connection, CursorResult
from sqlalchemy.exc import IntegrityError

from modelyard.contract import Frozen
from modelyard.errors import BadInput
from modelyard.records import Records, Rejection
from modelyard.stores.database import quoted, statement
from modelyard.stores.records import tables
from modelyard.stores.records.copying import PIECE_BYTES, copy_in, to_csv
from modelyard.stores.records.keyless import Staged, TakenAs, merge_contents
from modelyard.use_case import LaterFile, UseCase

LOGGER = logging.getLogger(__name__)

# The columns of a use case's table besides those of its contract.
OWN_COLUMNS = ("record_key", "revision", "batch_id", "line")
# Those of them that come with each record; the others are the same for the whole batch.
SENT_COLUMNS = ("record_key", "line")
REJECTED_COLUMNS = ("batch_id", "use_case", "source", "line", "column_name", "reason", "record")
# Records of a use case that has some already wait in this table to be merged with them.
STAGED_RECORDS = "staged_records"
# Rejected records wait in memory up to this size, then in a file.
REJECTED_BYTES = 1024 * 1024
SECONDS_BETWEEN_LINES = 2

# What decides how a source is read.
OF_FEATURE = {"name", "type", "nullable", "aliases", "valid", "categories"}
OF_TARGET = {"name", "classes", "aliases"}


class Batch(Frozen):
    """A batch of records and what became of them.

    Attributes:
        batch_id: Its number.
        new: Whether it has come in just now; else it was there already.
        rows_read: Records in the source.
        rows_added: Records whose key was not known.
        rows_revised: Records whose key was known with other values.
        rows_unchanged: Records that were known as they are.
        rows_rejected: Records that could not be used.
        taken_as: What a later file of a use case without a key was taken for: the `whole` of its records again, `other`
            records, or the content of an earlier batch `again`, read as the use case is declared now.
    """

    batch_id: int
    new: bool
    rows_read: int
    rows_added: int
    rows_revised: int
    rows_unchanged: int
    rows_rejected: int
    taken_as: TakenAs | None = None

    def is_as(self, said: LaterFile | None) -> bool:
        """Whether it was taken for what is said of it, as far as there was a choice."""
        return said is None or self.taken_as in (None, "again", said)


def find_batch(connection: Connection, use_case: UseCase, sha256: str) -> Batch | None:
    """The batch with that content, if it was read as the use case is declared now."""
    content = {"use_case": use_case.data_name, "sha256": sha256, "declaration_sha256": declaration_hash(use_case)}
    row = connection.execute(statement("find_batch"), content).mappings().one_or_none()
    return Batch(new=False, **row) if row else None


def add_batch(
    connection: Connection,
    use_case: UseCase,
    sha256: str,
    source: str,
    records: Iterable[Records],
    allowed_bad_share: float,
    said: LaterFile | None,
) -> Batch:
    """Adds a batch; `RawStore.add_batch` says what of.

    Raises:
        BadInput: There are no records, or too many were rejected.
        ContractChanged: The contract no longer fits the use case's table.
        ServiceUnavailable: The database was lost.
    """
    batch = {"use_case": use_case.data_name, "sha256": sha256, "declaration_sha256": declaration_hash(use_case)}
    batch_id = connection.execute(statement("add_batch"), batch | {"source": source}).scalar_one()
    with cast(IO[str], SpooledTemporaryFile(REJECTED_BYTES, "w+", encoding="utf-8", newline="")) as aside:
        addition = _Addition(connection, use_case, source, batch_id, aside)
        addition.take_in(records)
        addition.judge(allowed_bad_share)
        added = addition.finish(sha256, said or use_case.records)
    connection.execute(statement("finish_batch"), added.model_dump())
    return added


def remove_batch(connection: Connection, use_case: UseCase, batch: Batch) -> None:
    """Takes a batch out, so that it can be taken for something else.

    Raises:
        BadInput: Others came after it, and were told from what it brought.
    """
    newest = connection.execute(statement("newest_batch"), {"use_case": use_case.data_name}).scalar_one()
    if newest != batch.batch_id:
        raise BadInput(
            f"this content is batch {batch.batch_id} already, taken for {batch.taken_as} records: it stays so, as "
            f"batch {newest} came after it"
        )
    table = quoted(connection, use_case.data_name)
    connection.execute(statement("remove_batch", table=table), {"batch_id": batch.batch_id})


def declaration_hash(use_case: UseCase) -> str:
    """Hash of all that decides how a source is read: declared differently, the same content is another batch."""
    key = use_case.key.model_dump(mode="json") if use_case.key else None
    features = [feature.model_dump(mode="json", include=OF_FEATURE) for feature in use_case.features]
    target = use_case.target.model_dump(mode="json", include=OF_TARGET)
    split = use_case.split
    read = [key, features, target]
    if split.columns:
        aliases = {name: list(texts) for name, texts in split.aliases.items()}
        read.append({"by": split.by, "time": split.time, "path": split.path, "aliases": aliases})
    return hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()


class _Addition:
    """A batch that is being added.

    The records of a use case that has none yet go straight into its table; others are staged and merged.
    """

    def __init__(self, connection: Connection, use_case: UseCase, source: str, batch_id: int, aside: IO[str]) -> None:
        self._connection = connection
        self._use_case = use_case
        self._contract = use_case.contract()
        self._source = source
        self._batch_id = batch_id
        self._aside = aside
        self._read = 0
        self._rejected = 0
        self._first: tuple[int, str, str] | None = None
        self._names = tables.names(connection, self._contract)
        self._merges = tables.fit_table(connection, use_case.data_name, self._contract, OWN_COLUMNS)
        self._table = quoted(connection, STAGED_RECORDS if self._merges else use_case.data_name)

    def take_in(self, records: Iterable[Records]) -> None:
        """Copies the records into their table, without those that are rejected."""
        definitions = tables.definitions(self._connection, self._contract)
        kind = "temporary" if self._merges else ""
        batch = {"batch_id": self._batch_id}
        self._run("create_records", batch, kind=kind, table=self._table, columns=definitions)
        columns = ", ".join([*SENT_COLUMNS, *self._names])
        copy_in(self._connection, statement("copy_in", table=self._table, columns=columns), self._rows(records))
        self._run("forget_batch", table=self._table)
        # What is known by its content needs no key until it is merged.
        if not (self._merges and self._use_case.is_keyless):
            self._settle_duplicates()

    def judge(self, allowed_bad_share: float) -> None:
        """Refuses a batch with too many rejected records.

        Raises:
            BadInput: With the first of them.
        """
        if not self._read:
            raise BadInput(f"{self._source} has no records: there is nothing below the columns' names")
        if self._first is None or (self._rejected <= allowed_bad_share * self._read and self._rejected < self._read):
            return
        line, column, reason = self._first
        where = f", column {column}" if column else ""
        raise BadInput(
            f"{self._source}, line {line}{where}: {reason}. {self._rejected} of {self._read} records cannot be used, "
            f"{allowed_bad_share:.0%} may be (ALLOWED_BAD_SHARE): nothing was loaded"
        )

    def finish(self, sha256: str, said: LaterFile | None) -> Batch:
        """Merges the records with those that are there, and keeps the rejected ones.

        Args:
            sha256: Hash of the source's content.
            said: What a later file of a use case without a key is; None: no choice was made.
        """
        accepted = self._read - self._rejected
        added, revised, taken_as = self._merge(sha256, said) if self._merges else (accepted, 0, None)
        copy = statement("copy_in", table="rejected_records", columns=", ".join(REJECTED_COLUMNS))
        copy_in(self._connection, copy, self._rejected_rows())
        self._run("analyze", table=quoted(self._connection, self._use_case.data_name))
        return Batch(
            batch_id=self._batch_id,
            new=True,
            rows_read=self._read,
            rows_added=added,
            rows_revised=revised,
            rows_unchanged=accepted - added - revised,
            rows_rejected=self._rejected,
            taken_as=taken_as,
        )

    def _rows(self, records: Iterable[Records]) -> Iterator[bytes]:
        said = time.monotonic()
        for some in records:
            self._read += some.read
            self._set_aside(some.rejected)
            if time.monotonic() - said > SECONDS_BETWEEN_LINES:
                said = time.monotonic()
                LOGGER.info("%s: %d records read, %d of them rejected", self._source, self._read, self._rejected)
            yield to_csv(some.accepted)

    def _set_aside(self, rejected: list[Rejection]) -> None:
        if rejected and self._first is None:
            self._first = (rejected[0].line, rejected[0].column, rejected[0].reason)
        self._rejected += len(rejected)
        batch = (self._batch_id, self._use_case.data_name, self._source)
        rows = ((*batch, each.line, each.column, each.reason, each.record) for each in rejected)
        csv.writer(self._aside, quoting=csv.QUOTE_ALL).writerows(rows)

    def _rejected_rows(self) -> Iterator[bytes]:
        self._aside.seek(0)
        while text := self._aside.read(PIECE_BYTES):
            yield text.encode()

    def _settle_duplicates(self) -> None:
        try:
            with self._connection.begin_nested():
                self._add_key()
        except IntegrityError:
            if self._use_case.key:
                self._reject_duplicates(self._use_case.key.name)
            else:
                self._run("number_duplicates", table=self._table)
            self._add_key()

    def _add_key(self) -> None:
        self._run("add_primary_key", table=self._table, columns="record_key, revision")

    def _reject_duplicates(self, key: str) -> None:
        texts = ", ".join(f"staged.{name}::text" for name in ("record_key", *self._names))
        batch = {"batch_id": self._batch_id, "use_case": self._use_case.data_name, "source": self._source, "key": key}
        self._rejected += self._run("reject_duplicates", batch, table=self._table, texts=texts).rowcount
        duplicate = self._run("first_rejected", {"batch_id": self._batch_id}).one()
        self._first = min(self._first or tuple(duplicate), tuple(duplicate))

    def _merge(self, sha256: str, said: LaterFile | None) -> tuple[int, int, TakenAs | None]:
        self._run("analyze", table=self._table)
        table, columns = quoted(self._connection, self._use_case.data_name), ", ".join(self._names)
        if self._use_case.is_keyless:
            file = Staged(self._use_case, self._batch_id, self._source, sha256, table, self._table, columns)
            added, taken_as = merge_contents(self._connection, file, said)
            merged: tuple[int, int, TakenAs | None] = (added, 0, taken_as)
        else:
            merged = (*self._merge_keys(table, columns), None)
        self._run("drop_table", table=self._table)
        return merged

    def _merge_keys(self, table: str, columns: str) -> tuple[int, int]:
        merged = self._run(
            "merge_records",
            table=table,
            staging=self._table,
            columns=columns,
            staged_columns=", ".join(f"staged.{name}" for name in self._names),
            latest_columns=", ".join(f"latest.{name}" for name in self._names),
        ).one()
        return merged.added, merged.revised

    def _run(self, name: str, parameters: Mapping[str, object] | None = None, **parts: str) -> CursorResult[Any]:
        return self._connection.execute(statement(name, **parts), parameters)

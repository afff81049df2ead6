"""`clean_data`: what models are trained on. A table for each use case, a partition of it for each snapshot."""

import json
from collections.abc import Iterator, Set
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from modelyard.contract import Contract, Frozen
from modelyard.split import Borders, Parted
from modelyard.stores.database import quoted, statement, transaction
from modelyard.stores.records import tables
from modelyard.stores.records.copying import copy_in, copy_out, from_csv, to_csv
from modelyard.use_case import PARTS, Split, UseCase

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# The columns of a use case's table besides those of its contract.
OWN_COLUMNS = ("snapshot_id", "record_key", "part")


class Snapshot(Frozen):
    """The records of a use case as they once were, parted.

    Attributes:
        snapshot_id: Follows from the records, the contract and the split: the same in every home.
        contract: What the records were checked against.
        split: How they were parted; None: a former release made it, and did not keep that.
        borders: Where the parts begin, of a split by time.
        rows: Records in each part.
        created_at: When it was made.
    """

    snapshot_id: str
    contract: Contract
    split: Split | None = None
    borders: Borders | None = None
    rows: dict[str, int]
    created_at: datetime

    @property
    def parted(self) -> Parted | None:
        """How they were parted, where that was kept."""
        return Parted(split=self.split.identity(), borders=self.borders) if self.split else None


class CleanStore:
    """The database `clean_data`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def latest(self, use_case: str) -> Snapshot | None:
        """The newest snapshot of a use case: the one that was made or asked for again last.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            return next(iter(_snapshots(connection, use_case)), None)

    def count(self, use_case: str) -> int:
        """How many records the newest snapshot of a use case has.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        latest = self.latest(use_case)
        return sum(latest.rows.values()) if latest else 0

    def choose(self, use_case: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot with that id, from now on the newest.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            return _choose(connection, use_case, snapshot_id)

    def find(self, data_name: str, snapshot_id: str) -> Snapshot | None:
        """The snapshot with that id, if it is still there.

        Args:
            data_name: What its records are kept under.
            snapshot_id: Its id.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            return next((each for each in _snapshots(connection, data_name) if each.snapshot_id == snapshot_id), None)

    def add(
        self, use_case: UseCase, snapshot_id: str, records: Iterator["pa.Table"], borders: Borders | None = None
    ) -> Snapshot:
        """Adds a snapshot, all of it or nothing. One that is there already is not made again.

        Args:
            use_case: What the records are of.
            snapshot_id: The snapshot's id.
            records: The records: columns `record_key`, `part`, one for each feature, the target, group and time.
            borders: Where the parts begin, of a split by time.

        Raises:
            ContractChanged: The contract no longer fits the use case's table, or a record the contract.
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": use_case.data_name})
            known = _choose(connection, use_case.data_name, snapshot_id)
            return known or _add(connection, use_case, snapshot_id, records, borders)

    def frame(self, use_case: UseCase, snapshot_id: str, part: str) -> "pd.DataFrame":
        """One part of a snapshot as a frame, its index the records' keys in order.

        Numbers, integers and booleans are float32, missing ones NaN; categories are text, missing ones empty; the
        target is its class's label, or float64 in a regression.

        Args:
            use_case: What the records are of.
            snapshot_id: The snapshot's id.
            part: `train`, `validation` or `test`.

        Raises:
            ContractChanged: A record does not fit the contract.
            ServiceUnavailable: The database does not answer.
        """
        from modelyard.frames import frame_of, schema_of, validated

        # A model sees neither group nor time, where these are no features.
        contract = use_case.contract().model_copy(update={"group": None, "time": None})
        with transaction(self.engine) as connection:
            table, names = quoted(connection, use_case.data_name), tables.names(connection, contract)
            copy = statement("copy_part", table=table, columns=", ".join(names))
            text = copy_out(connection, copy, {"snapshot_id": snapshot_id, "part": part})
        frame = frame_of(from_csv(text, tables.arrow_columns(contract)), contract)
        return validated(frame, schema_of(contract), f"snapshot {snapshot_id} of {use_case.name}")

    def sides(self, data_name: str, snapshot_id: str, columns: "pa.Schema | None" = None) -> "pa.Table":
        """What decides of the parts of a snapshot's records, in the order of their keys.

        Args:
            data_name: What its records are kept under.
            snapshot_id: The snapshot's id.
            columns: Columns of the contract that are fetched beside `record_key` and `part`.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        import pyarrow as pa

        columns = pa.schema([]) if columns is None else columns
        with transaction(self.engine) as connection:
            names = "".join(f", {quoted(connection, name)}" for name in columns.names)
            copy = statement("copy_sides", table=quoted(connection, data_name), columns=names)
            text = copy_out(connection, copy, {"snapshot_id": snapshot_id})
        return from_csv(text, pa.schema([("record_key", pa.string()), ("part", pa.string()), *columns]))

    def prune(self, use_case: str, keep: int, protect: Set[str] = frozenset()) -> list[str]:
        """Removes all but the newest snapshots of a use case.

        Args:
            use_case: Its name.
            keep: How many of the newest are kept.
            protect: Ids of snapshots that are kept however old they are.

        Returns:
            The ids of those that were removed.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": use_case})
            old = [each.snapshot_id for each in _snapshots(connection, use_case)[keep:]]
            removed = [snapshot_id for snapshot_id in old if snapshot_id not in protect]
            for snapshot_id in removed:
                parameters = {"use_case": use_case, "snapshot_id": snapshot_id}
                connection.execute(statement("drop_table", table=_partition(connection, snapshot_id)))
                connection.execute(statement("remove_snapshot"), parameters)
            return removed


def _snapshots(connection: Connection, use_case: str) -> list[Snapshot]:
    rows = connection.execute(statement("find_snapshots"), {"use_case": use_case})
    return [
        Snapshot(
            snapshot_id=row.snapshot_id,
            contract=Contract.model_validate(row.contract),
            split=row.split and Split.model_validate(row.split),
            borders=row.test_from and Borders(validation_from=row.validation_from, test_from=row.test_from),
            rows={"train": row.rows_train, "validation": row.rows_validation, "test": row.rows_test},
            created_at=row.created_at,
        )
        for row in rows
    ]


def _choose(connection: Connection, use_case: str, snapshot_id: str) -> Snapshot | None:
    chosen = connection.execute(statement("choose_snapshot"), {"use_case": use_case, "snapshot_id": snapshot_id})
    return _snapshot(connection, use_case, snapshot_id) if chosen.rowcount else None


def _snapshot(connection: Connection, use_case: str, snapshot_id: str) -> Snapshot:
    return next(each for each in _snapshots(connection, use_case) if each.snapshot_id == snapshot_id)


def _add(
    connection: Connection,
    use_case: UseCase,
    snapshot_id: str,
    records: Iterator["pa.Table"],
    borders: Borders | None,
) -> Snapshot:
    contract = use_case.contract()
    table, partition = quoted(connection, use_case.data_name), _partition(connection, snapshot_id)
    if not tables.fit_table(connection, use_case.data_name, contract, OWN_COLUMNS):
        columns = tables.definitions(connection, contract)
        connection.execute(statement("create_clean_records", table=table, columns=columns))
    connection.execute(statement("create_partition", table=table, partition=partition))
    names = ", ".join([*OWN_COLUMNS, *tables.names(connection, contract)])
    rows = (to_csv(_with_id(some, snapshot_id)) for some in records)
    copy_in(connection, statement("copy_in", table=partition, columns=names), rows)
    connection.execute(statement("add_primary_key", table=partition, columns="snapshot_id, record_key"))
    attach = statement("attach_partition", table=table, partition=partition)
    connection.execute(attach, {"snapshot_id": snapshot_id})
    counted = {row.part: row.rows for row in connection.execute(statement("count_parts", partition=partition))}
    snapshot = {"use_case": use_case.data_name, "snapshot_id": snapshot_id, "contract": contract.model_dump_json()}
    parted = {"split": json.dumps(use_case.split.identity()), **_borders(borders)}
    connection.execute(statement("add_snapshot"), snapshot | parted | {part: counted.get(part, 0) for part in PARTS})
    return _snapshot(connection, use_case.data_name, snapshot_id)


def _borders(borders: Borders | None) -> dict[str, datetime | None]:
    return dict(borders) if borders else {"validation_from": None, "test_from": None}


def _with_id(records: "pa.Table", snapshot_id: str) -> "pa.Table":
    import pyarrow as pa

    return records.add_column(0, "snapshot_id", pa.repeat(snapshot_id, len(records)))


def _partition(connection: Connection, snapshot_id: str) -> str:
    return quoted(connection, f"snapshot_{snapshot_id}")

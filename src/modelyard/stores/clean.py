"""`clean_data`: what models are trained on. A table for each use case, a partition of it for each snapshot."""

from collections.abc import Iterator, Set
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

from modelyard.contract import Contract, Frozen
from modelyard.stores import tables
from modelyard.stores.copying import copy_in, copy_out, from_csv, to_csv
from modelyard.stores.database import quoted, statement, transaction
from modelyard.usecase import PARTS, UseCase

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
        rows: Records in each part.
        created_at: When it was made.
    """

    snapshot_id: str
    contract: Contract
    rows: dict[str, int]
    created_at: datetime


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

    def add(self, use_case: UseCase, snapshot_id: str, records: Iterator["pa.Table"]) -> Snapshot:
        """Adds a snapshot, all of it or nothing. One that is there already is not made again.

        Args:
            use_case: What the records are of.
            snapshot_id: The snapshot's id.
            records: The records: columns `record_key`, `part`, one for each feature, the target.

        Raises:
            ContractChanged: The contract no longer fits the use case's table, or a record the contract.
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self.engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": use_case.data_name})
            known = _choose(connection, use_case.data_name, snapshot_id)
            return known or _add(connection, use_case, snapshot_id, records)

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

        contract = use_case.contract()
        with transaction(self.engine) as connection:
            table, names = quoted(connection, use_case.data_name), tables.names(connection, contract)
            copy = statement("copy_part", table=table, columns=", ".join(names))
            text = copy_out(connection, copy, {"snapshot_id": snapshot_id, "part": part})
        frame = frame_of(from_csv(text, tables.arrow_columns(contract)), contract)
        return validated(frame, schema_of(contract), f"snapshot {snapshot_id} of {use_case.name}")

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


def _add(connection: Connection, use_case: UseCase, snapshot_id: str, records: Iterator["pa.Table"]) -> Snapshot:
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
    connection.execute(statement("add_snapshot"), snapshot | {part: counted.get(part, 0) for part in PARTS})
    return _snapshot(connection, use_case.data_name, snapshot_id)


def _with_id(records: "pa.Table", snapshot_id: str) -> "pa.Table":
    import pyarrow as pa

    return records.add_column(0, "snapshot_id", pa.repeat(snapshot_id, len(records)))


def _partition(connection: Connection, snapshot_id: str) -> str:
    return quoted(connection, f"snapshot_{snapshot_id}")

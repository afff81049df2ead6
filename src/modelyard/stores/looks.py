"""How often models were judged on a test part: what each may err by depends on it."""

from datetime import datetime

from sqlalchemy import Connection, Engine

from modelyard.contract import Frozen
from modelyard.stores.database import statement, transaction


class Look(Frozen):
    """A look at a test part.

    Attributes:
        doubling: How often the test part has doubled since the first look, from 1.
        look: Its number since the test part doubled last, from 1.
    """

    doubling: int
    look: int


class Looks:
    """The table of looks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def take(
        self,
        data_name: str,
        version: int,
        snapshot_id: str,
        test_records: int,
        rolling: tuple[datetime, datetime] | None = None,
    ) -> Look:
        """Notes that a version is judged on a snapshot's test part. The same two again are the same look.

        Of a test part that rolls on, only those looks count that were at records which it shares.

        Args:
            data_name: What the records are kept under.
            version: The version that is judged.
            snapshot_id: The snapshot.
            test_records: How many records its test part has.
            rolling: When its oldest and its newest record came about, if it rolls; None: it stays and grows.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        key = {"data_name": data_name, "model_version": version, "snapshot_id": snapshot_id}
        with transaction(self._engine) as connection:
            connection.execute(statement("lock_use_case"), {"use_case": data_name})
            known = connection.execute(statement("find_look"), key).first()
            if known is None:
                begin, end = rolling or (None, None)
                doubling = 1 if rolling else _doubling(connection, data_name, test_records)
                parameters = {"test_records": test_records, "doubling": doubling, "test_from": begin, "test_until": end}
                known = connection.execute(statement("add_look"), key | parameters).one()
            return Look(doubling=known.doubling, look=known.look)


def _doubling(connection: Connection, data_name: str, test_records: int) -> int:
    first = connection.scalar(statement("first_look"), {"data_name": data_name})
    return doubling_of(test_records, first or test_records)


def doubling_of(test_records: int, first: int) -> int:
    """How often a test part has doubled, from 1. One that has shrunk goes on where it began.

    Args:
        test_records: How many records it has.
        first: How many it had when the first model was judged.
    """
    return max(1, (test_records // first).bit_length())

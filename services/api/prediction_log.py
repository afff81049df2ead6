"""Keeps every prediction before it is answered: all that wait at a moment are committed by one statement."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from modelyard.stores.database import statement
from services.api.database import DATABASE_ERRORS, unavailable
from services.api.errors import NotKept

LOGGER = logging.getLogger(__name__)

LARGEST_GROUP = 1000


class Row(NamedTuple):
    """A row of the table `predictions`, in the order of `add_predictions.sql`; features to probabilities are JSON."""

    request_id: str
    use_case: str
    model_version: int
    record_key: str | None
    features: str
    prediction: str
    probabilities: str | None
    latency_ms: float
    created_at: datetime


class PredictionLog:
    """Commits rows in groups, as fast as the database takes them.

    Args:
        pool: Connections to `raw_data`.
        url: Its URL, for messages.
    """

    def __init__(self, pool: asyncpg.Pool, url: str) -> None:
        self.kept = 0
        self._pool = pool
        self._url = url
        self._insert = statement("add_predictions").text
        self._waiting: list[tuple[Row, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def keep(self, row: Row) -> None:
        """Returns when the row is committed.

        Raises:
            NotKept: It may not have been; the message says why.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, future))
        self._arrived.set()
        await future

    async def run(self) -> None:
        """Commits what waits, group after group, until it is cancelled."""
        while True:
            await self._arrived.wait()
            group, self._waiting = self._waiting[:LARGEST_GROUP], self._waiting[LARGEST_GROUP:]
            if not self._waiting:
                self._arrived.clear()
            await self._keep_group([row for row, _ in group], [future for _, future in group])

    async def _keep_group(self, rows: Sequence[Row], futures: Sequence[asyncio.Future[None]]) -> None:
        failure: Exception | None = None
        try:
            await self._pool.execute(self._insert, *zip(*rows, strict=True))
            self.kept += len(rows)
        except DATABASE_ERRORS as error:
            failure = NotKept(
                f"the prediction could not be kept, so it is not answered: {unavailable(self._url, error)}"
            )
        except Exception as error:
            # The task's outermost edge: a request that waits must hear of any failure, and the next ones must be kept.
            LOGGER.exception("a group of %d predictions could not be kept", len(rows))
            failure = error
        for future in futures:
            _settle(future, failure)


def _settle(future: asyncio.Future[None], failure: Exception | None) -> None:
    # A client that left has cancelled its request.
    if future.done():
        return
    if failure is None:
        future.set_result(None)
    else:
        future.set_exception(failure)

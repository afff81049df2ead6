"""Keeps every prediction before it is answered: in the database while it answers, else on the local disk.

All that wait at a moment are committed by one statement. A commit that fails or takes too long is not waited for: its
rows go to the spool, and so do those that follow, until the database has answered again. It may have taken rows of
which it could not tell any more; they are sent again later, and their keys keep them from being there twice.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import asyncpg

from modelyard.stores.database import statement
from services.api import metrics
from services.api.errors import PredictionNotLogged
from services.api.log.database import DATABASE_ERRORS, REFUSALS, Connection, unavailable
from services.api.log.rows import Claim, LogEntry, Row
from services.api.log.spool import Spool

LOGGER = logging.getLogger(__name__)

# So many rows are put into one statement, and as many more as belong to the same request.
LARGEST_GROUP = 1000
TABLE = "predictions"
# While one group is being committed, the next one is put together and sent.
COMMITS_AT_ONCE = 2

Settle = Callable[[bool | Exception], None]
Outcome = TypeVar("Outcome")


class Waiting(NamedTuple):
    """What waits to be kept, and who is told: True when it is, False when its key was another's, or why it is not."""

    kept: LogEntry
    settle: Settle


class Statements:
    """What the log says to the database."""

    def __init__(self, idempotency_seconds: float) -> None:
        self._add = statement("add_predictions").text
        self._claim = statement("claim_idempotency_keys").text
        self._idempotency_seconds = idempotency_seconds

    async def copy_rows(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        """Adds rows that were never sent before. COPY takes a third of the time that an insert does."""
        if rows:
            await connection.copy_records_to_table(TABLE, records=rows, columns=Row._fields)

    async def add_rows(self, connection: asyncpg.Connection, rows: Sequence[Row]) -> None:
        """Adds rows that may have been sent before; those that are there already are left as they are."""
        if rows:
            await connection.execute(self._add, *zip(*rows, strict=True))

    async def claim(self, connection: asyncpg.Connection, claims: Sequence[Claim]) -> set[str]:
        """Claims keys; the request ids of those that got theirs."""
        # In one order, so that two processes do not wait for each other.
        ordered = sorted(claims)
        found = await connection.fetch(self._claim, *zip(*ordered, strict=True), self._idempotency_seconds)
        return {str(record[0]) for record in found}


class PredictionLog:
    """Keeps rows in groups, as fast as the database, or else the disk, takes them. Belongs to the event loop's thread.

    Args:
        url: Of `raw_data`.
        spool: Where rows go that the database does not take.
        disk: The one thread that may use the spool.
        commit_seconds: How long an answer waits for the database.
        idempotency_seconds: For how long a client's key stands for its request.

    Attributes:
        trouble: Why the database is not asked now; None: it is.
        kept: How many rows were kept.
    """

    def __init__(
        self, url: str, spool: Spool, disk: ThreadPoolExecutor, commit_seconds: float, idempotency_seconds: float
    ) -> None:
        self.trouble: str | None = None
        self.kept = 0
        self.statements = Statements(idempotency_seconds)
        self._url = url
        self._spool = spool
        self._disk = disk
        self._waiting: list[Waiting] = []
        self._free = [Connection(url, commit_seconds) for _ in range(COMMITS_AT_ONCE)]
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_spooling = False
        self._is_starting = False
        self._on_spooled: list[Callable[[], None]] = []

    def on_spooled(self, listener: Callable[[], None]) -> None:
        """Has a function called whenever rows went to the disk."""
        self._on_spooled.append(listener)

    @property
    def waiting(self) -> int:
        """How many requests wait to be sent to the database or to the disk."""
        return len(self._waiting)

    def add(self, kept: LogEntry, settle: Settle) -> None:
        """Has rows kept. `settle` is called when they are, or with a `PredictionNotLogged` that says why they are not."""
        self._waiting.append(Waiting(kept, settle))
        if not self._is_starting:
            self._is_starting = True
            # At the end of this turn of the loop: what comes in it goes together.
            asyncio.get_running_loop().call_soon(self._start)

    async def keep(self, kept: LogEntry) -> bool:
        """Returns when rows are kept: True; or False: they are not, as another request had their key before.

        Raises:
            PredictionNotLogged: They may not be; the message says why.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.add(kept, partial(settle, future))
        return await future

    def database_is_back(self) -> None:
        """Has the database asked again."""
        if self.trouble is not None:
            LOGGER.info("the database takes predictions again")
            self.trouble = None

    async def stop(self) -> None:
        """Returns when all that was added is settled; the connections are closed then."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        for line in self._free:
            line.close()

    def _start(self) -> None:
        self._is_starting = False
        if not self._waiting:
            return
        if self.trouble is None and self._free:
            self._in_background(self._commit(self._free.pop(), self._next_group()))
        elif self.trouble is not None and not self._is_spooling:
            self._is_spooling = True
            self._in_background(self._spool_waiting())

    def _next_group(self) -> list[Waiting]:
        rows = end = 0
        while end < len(self._waiting) and rows < LARGEST_GROUP:
            rows += len(self._waiting[end].kept.rows)
            end += 1
        group, self._waiting = self._waiting[:end], self._waiting[end:]
        return group

    def _in_background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            LOGGER.error("the prediction log failed", exc_info=error)
        self._start()

    async def _commit(self, line: Connection, group: list[Waiting]) -> None:
        try:
            await self._commit_group(line, group)
        except DATABASE_ERRORS as error:
            self._note(error)
            await self._put_into_spool(group)
        except Exception as error:
            # The task's outermost edge: a request that waits must hear of any failure.
            LOGGER.exception("a group of %d requests could not be kept", len(group))
            _tell(group, PredictionNotLogged(f"the prediction could not be kept, so it is not answered: {error}"))
        finally:
            self._free.append(line)

    async def _commit_group(self, line: Connection, group: list[Waiting]) -> None:
        try:
            async with line.use() as connection:
                claimed = await self._send(connection, [waiting.kept for waiting in group])
        except REFUSALS as error:
            await self._commit_one_by_one(line, group, error)
        else:
            self._tell_claimed(group, claimed)

    async def _commit_one_by_one(self, line: Connection, group: list[Waiting], error: Exception) -> None:
        """One of them has something that the database refuses, and no other one shall suffer for it."""
        if len(group) == 1:
            LOGGER.error("the database refuses a row: %s", error)
            _tell(group, PredictionNotLogged(f"the prediction could not be kept, so it is not answered: {error}"))
            return
        for place, waiting in enumerate(group):
            try:
                await self._commit_group(line, [waiting])
            except DATABASE_ERRORS as trouble:
                self._note(trouble)
                await self._put_into_spool(group[place:])
                return

    async def _send(self, connection: asyncpg.Connection, group: Sequence[LogEntry]) -> set[str]:
        claims = [kept.claim for kept in group if kept.claim]
        if not claims:
            await self.statements.copy_rows(connection, [row for kept in group for row in kept.rows])
            return set()
        async with connection.transaction():
            claimed = await self.statements.claim(connection, claims)
            kept_now = [kept for kept in group if _is_kept(kept, claimed)]
            await self.statements.copy_rows(connection, [row for kept in kept_now for row in kept.rows])
        return claimed

    def _tell_claimed(self, group: list[Waiting], claimed: set[str]) -> None:
        for kept, settle in group:
            is_kept = _is_kept(kept, claimed)
            self.kept += len(kept.rows) if is_kept else 0
            settle(is_kept)

    async def _spool_waiting(self) -> None:
        try:
            while self._waiting and self.trouble is not None:
                await self._put_into_spool(self._next_group())
        finally:
            self._is_spooling = False

    async def _put_into_spool(self, group: list[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._disk, self._spool.add, [waiting.kept for waiting in group])
        except (sqlite3.Error, OSError) as error:
            sentence = f"{self.trouble}; and the spool on the disk takes no more: {error}"
            LOGGER.error("%d requests are not answered: %s", len(group), sentence)
            _tell(group, PredictionNotLogged(f"the prediction could not be kept, so it is not answered: {sentence}"))
            return
        rows = sum(len(waiting.kept.rows) for waiting in group)
        self.kept += rows
        metrics.SPOOLED.inc(rows)
        _tell(group, True)
        for listener in self._on_spooled:
            listener()

    def _note(self, error: Exception) -> None:
        sentence = unavailable(self._url, error)
        if self.trouble is None:
            LOGGER.warning("predictions go to the spool: %s", sentence)
        self.trouble = sentence


def settle(future: "asyncio.Future[Outcome]", outcome: Outcome | Exception) -> None:
    """Tells who waits for a future what has come of it, or why nothing has."""
    # A client that left has cancelled its request.
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _is_kept(kept: LogEntry, claimed: set[str]) -> bool:
    return kept.claim is None or kept.claim.request_id in claimed


def _tell(group: Sequence[Waiting], outcome: bool | Exception) -> None:
    for waiting in group:
        waiting.settle(outcome)

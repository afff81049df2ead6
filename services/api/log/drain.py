"""Brings to the database what the disk holds for it: this process's rows, and those of processes that have ended."""

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from services.api.log.database import DATABASE_ERRORS, REFUSALS, Connection, unavailable
from services.api.log.prediction_log import PredictionLog
from services.api.log.rows import Claim, Row
from services.api.log.spool import Spool, adopt, is_damaged, put_away

LOGGER = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
STATEMENT_SECONDS = 10.0
PROBE_SECONDS = 0.5
ADOPT_SECONDS = 3.0

Made = TypeVar("Made")


class Drain:
    """Empties spools, oldest rows first, for as long as the database takes them.

    Args:
        url: Of `raw_data`.
        log: Whose rows they are; it is told when the database is back.
        spool: This process's own.
        disk: The one thread that may use spools.
        folder: Where those of other processes are.
        limit_bytes: How large one may be.
    """

    def __init__(
        self, url: str, log: PredictionLog, spool: Spool, disk: ThreadPoolExecutor, folder: Path, limit_bytes: int
    ) -> None:
        self._log = log
        self._own = spool
        self._adopted: list[Spool] = []
        self._disk = disk
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._line = Connection(url, STATEMENT_SECONDS)
        self._wanted = asyncio.Event()
        self._adopt_at = 0.0
        log.on_spooled(self._wanted.set)

    @property
    def rows(self) -> int:
        """How many rows wait on the disk, as far as this process has them."""
        return sum(spool.rows for spool in self._spools)

    @property
    def bytes(self) -> int:
        """How much of the disk they take."""
        return sum(spool.bytes for spool in self._spools)

    @property
    def refused(self) -> int:
        """How many rows the database has refused, which stay on the disk."""
        return sum(spool.refused for spool in self._spools)

    @property
    def is_full(self) -> bool:
        """Whether the disk takes no more."""
        return self._own.is_full

    async def run(self) -> None:
        """Drains whatever there is until it is cancelled."""
        while True:
            try:
                await self._adopt_if_due()
                await self._round()
            except (sqlite3.Error, OSError) as error:
                LOGGER.error("the spool on the disk cannot be drained: %s", error)
                await asyncio.sleep(PROBE_SECONDS)
            except Exception:
                # The task's outermost edge: one round may fail, the next ones must be tried.
                LOGGER.exception("the spool could not be drained")
                await asyncio.sleep(PROBE_SECONDS)

    async def find_claim(self, name: tuple[str, str, str]) -> Claim | None:
        """What was answered under a key of a caller for a use case, if the disk holds that for the database."""
        for spool in self._spools:
            if spool.has_claims and (found := await self._on_disk(partial(spool.find_claim, *name))):
                return found
        return None

    async def stop(self) -> None:
        """Lets go of the spools that were adopted; what is in them waits for the next process."""
        self._line.close()
        with ExitStack() as stack:
            for spool in self._adopted:
                stack.callback(spool.close)
            closing = stack.pop_all()
        await self._on_disk(closing.close)

    @property
    def _spools(self) -> list[Spool]:
        # Those of the dead are older.
        return [*self._adopted, self._own]

    async def _adopt_if_due(self) -> None:
        if time.monotonic() < self._adopt_at:
            return
        self._adopt_at = time.monotonic() + ADOPT_SECONDS
        known = {spool.file for spool in self._spools}
        self._adopted += await self._on_disk(lambda: adopt(self._folder, known, self._limit_bytes))

    async def _round(self) -> None:
        waiting = [spool for spool in self._spools if not spool.is_empty]
        if not waiting and self._log.trouble is None:
            await self._rest()
            return
        try:
            async with self._line.use() as connection:
                if waiting:
                    await self._drain(connection, waiting[0])
                else:
                    await connection.execute("select 1")
                    self._log.database_is_back()
        except DATABASE_ERRORS as error:
            LOGGER.debug("%s", unavailable(self._line.url, error))
            await asyncio.sleep(PROBE_SECONDS)

    async def _rest(self) -> None:
        await self._let_go()
        self._wanted.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wanted.wait(), max(self._adopt_at - time.monotonic(), PROBE_SECONDS))

    async def _let_go(self) -> None:
        """Of those of the dead that are empty; one with refused rows stays ours, so that nobody takes it again."""
        for spool in [each for each in self._adopted if each.is_empty and not each.refused]:
            self._adopted.remove(spool)
            await self._on_disk(spool.close)

    async def _drain(self, connection: asyncpg.Connection, spool: Spool) -> None:
        try:
            await self._drain_some(connection, spool)
        except sqlite3.Error as error:
            if spool is self._own or not is_damaged(error):
                raise
            LOGGER.error("%s cannot be drained: %s", spool.file, error)
            self._adopted.remove(spool)
            await self._on_disk(spool.close)
            await self._on_disk(partial(put_away, spool.file))

    async def _drain_some(self, connection: asyncpg.Connection, spool: Spool) -> None:
        rows, claims = await self._on_disk(lambda: spool.oldest(ROWS_AT_ONCE))
        try:
            await self._send(connection, rows, claims)
        except REFUSALS:
            await self._drain_one_by_one(connection, spool, rows)
        else:
            await self._on_disk(lambda: spool.remove(rows, claims))

    async def _drain_one_by_one(self, connection: asyncpg.Connection, spool: Spool, rows: list[Row]) -> None:
        for row in rows:
            try:
                await self._send(connection, [row], [])
            except REFUSALS as error:
                LOGGER.error("the database refuses row %s, which stays in %s: %s", row.request_id, spool.file, error)
                await self._on_disk(partial(spool.set_aside, row, str(error)))
            else:
                await self._on_disk(partial(spool.remove, [row], []))

    async def _send(self, connection: asyncpg.Connection, rows: list[Row], claims: list[Claim]) -> None:
        async with connection.transaction():
            await self._log.statements.add_rows(connection, rows)
            if claims:
                await self._log.statements.claim(connection, claims)
        # It takes rows, whether or not the disk lets go of them.
        self._log.database_is_back()

    async def _on_disk(self, work: Callable[[], Made]) -> Made:
        loop: Any = asyncio.get_running_loop()
        made: Made = await loop.run_in_executor(self._disk, work)
        return made

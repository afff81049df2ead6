"""Tells the database that this process runs and what it serves, so that a deployment can wait for it."""

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from datetime import UTC, datetime

from modelyard.stores.database import statement
from services.api.log.database import DATABASE_ERRORS, ConnectionPool, unavailable
from services.api.models.served import Models

LOGGER = logging.getLogger(__name__)


class Heartbeat:
    """Writes this process's rows in `api_processes` and `served_models`.

    Args:
        lines: Connections to `raw_data`.
        models: What is served; every change of it is written at once.
        seconds: How long it waits otherwise.
    """

    def __init__(self, lines: ConnectionPool, models: Models, seconds: float) -> None:
        self.process_id = uuid.uuid4()
        self.started_at = datetime.now(UTC)
        self._lines = lines
        self._models = models
        self._seconds = seconds
        self._beat = statement("beat_api_process").text
        self._remove = statement("remove_api_process").text
        self._changed = asyncio.Event()
        self._trouble: str | None = None
        models.on_change(self._changed.set)

    async def run(self) -> None:
        """Beats until it is cancelled; an outage of the database only makes it miss beats."""
        while True:
            self._changed.clear()
            try:
                await self._try_to_beat()
            except Exception:
                # The task's outermost edge: one beat may fail, the next ones must be tried.
                LOGGER.exception("no heartbeat")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), self._seconds)

    async def remove(self) -> None:
        """Takes this process off the list."""
        try:
            async with self._lines.use() as connection:
                await connection.execute(self._remove, self.process_id)
        except DATABASE_ERRORS as error:
            LOGGER.warning("the last heartbeat stays: %s", unavailable(self._lines.url, error))

    async def _try_to_beat(self) -> None:
        trouble = None
        try:
            async with self._lines.use() as connection:
                await connection.execute(self._beat, *self._process(), *self._states())
        except DATABASE_ERRORS as error:
            trouble = unavailable(self._lines.url, error)
        if trouble != self._trouble:
            LOGGER.warning("no heartbeat: %s", trouble) if trouble else LOGGER.info("the heartbeat is back")
            self._trouble = trouble

    def _process(self) -> tuple[uuid.UUID, str, int, datetime]:
        return self.process_id, socket.gethostname(), os.getpid(), self.started_at

    def _states(self) -> tuple[list[object], ...]:
        tried = [state for state in self._models.states() if state.self_test]
        return (
            [state.use_case for state in tried],
            [state.version for state in tried],
            [state.target_version for state in tried],
            [state.self_test for state in tried],
            [state.detail for state in tried],
        )

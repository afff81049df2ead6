"""Everything that one API process is made of, put together once and started and stopped with it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from modelyard.errors import BadInput
from modelyard.home import open_home
from modelyard.settings import Settings
from modelyard.stores.database import statement
from services.api import metrics
from services.api.errors import NotReady
from services.api.limits.bodies import Bodies
from services.api.limits.connections import end_idle_connections
from services.api.limits.traffic import Traffic
from services.api.log.database import DATABASE_ERRORS, ConnectionPool, unavailable
from services.api.log.drain import Drain
from services.api.log.idempotency import IdempotencyStore
from services.api.log.maintenance import keep_house
from services.api.log.prediction_log import PredictionLog
from services.api.log.spool import MEGABYTE, Spool
from services.api.models.cache import ModelCache
from services.api.models.challenger_watch import ChallengerWatch
from services.api.models.heartbeat import Heartbeat
from services.api.models.registry_watch import RegistryWatch
from services.api.models.served import Models
from services.api.models.shadow import Shadows
from services.api.models.verified import Fetcher, ModelSource
from services.api.use_case_files import UseCaseFiles

OBSERVE_SECONDS = 2.0
# Those who probe wait no longer than that.
PROBE_SECONDS = 2.0
# Each holds its records, answers and rows in memory.
BATCHES_AT_A_TIME = 2
NOT_ALLOWED = "the API's role may not add predictions: run the migrations"


class Readiness(NamedTuple):
    """Whether predictions can be answered.

    Attributes:
        database: How the database is, in a sentence.
        reasons: What keeps predictions from being answered.
    """

    database: str
    reasons: list[str]


@dataclass(frozen=True)
class Service:
    """The parts of a running API process."""

    settings: Settings
    models: Models
    log: PredictionLog
    drain: Drain
    batches: asyncio.Semaphore
    repeats: IdempotencyStore
    shadows: Shadows
    traffic: Traffic
    heartbeat: Heartbeat
    watch: RegistryWatch
    lines: ConnectionPool
    bodies: Bodies
    use_case_files: UseCaseFiles

    async def readiness(self) -> Readiness:
        """Whether predictions can be answered, which they can while the spool stands in for the database.

        A database that answers and was not set up is no outage: whoever installs this should hear of it at once.
        """
        reasons = [] if self.models.served() else [f"{s.use_case}: {s.detail}" for s in self.models.states()]
        try:
            async with self.lines.use(PROBE_SECONDS) as connection:
                allowed = await connection.fetchval(statement("may_add_predictions").text)
        except DATABASE_ERRORS as error:
            database = unavailable(self.lines.url, error)
            if isinstance(error, asyncpg.SyntaxOrAccessError):
                reasons.append(database)
            elif self.drain.is_full:
                reasons.append(f"{database}; and the spool on the disk is full")
        else:
            database = "answers" if allowed else NOT_ALLOWED
            reasons += [] if allowed else [NOT_ALLOWED]
        return Readiness(database, reasons)

    def observe(self) -> None:
        """Brings the numbers up to date that are not counted as they change."""
        metrics.UNDER_WAY.set(self.traffic.under_way)
        metrics.WAITING.set(self.log.waiting)
        metrics.SPOOL_ROWS.set(self.drain.rows)
        metrics.SPOOL_BYTES.set(self.drain.bytes)
        metrics.SPOOL_REFUSED.set(self.drain.refused)
        metrics.DATABASE_DOWN.set(self.log.trouble is not None)
        for use_case, served in self.models.served().items():
            metrics.VERSION.labels(use_case).set(served.version)
            metrics.LOADED_AT.labels(use_case).set(served.loaded_at.timestamp())

    def work(self) -> Iterator[Coroutine[Any, Any, None]]:
        """What is done meanwhile, each until it is cancelled."""
        yield self.drain.run()
        yield self.heartbeat.run()
        yield self.shadows.run()
        yield keep_house(self.lines, self.settings.api_idempotency_seconds)
        yield self.observe_on()
        yield end_idle_connections()

    async def observe_on(self) -> None:
        """Does so until it is cancelled, as another process may be the one that is asked for them."""
        while True:
            self.observe()
            await asyncio.sleep(OBSERVE_SECONDS)

    async def check_ready(self) -> None:
        """Returns when predictions can be answered.

        Raises:
            NotReady: They cannot; the message says why.
        """
        readiness = await self.readiness()
        if readiness.reasons:
            raise NotReady("; ".join(readiness.reasons))


@asynccontextmanager
async def running(
    settings: Settings, url: str, source: ModelSource, models: Models, traffic: Traffic
) -> AsyncIterator[Service]:
    """Starts a service and stops it at the end.

    Args:
        settings: What it is set to.
        url: Where predictions are kept.
        source: Where models come from.
        models: Will hold what is served.
        traffic: What comes in.
    """
    open_home(settings.home)
    folder = settings.spool_folder
    limit_bytes = settings.api_spool_limit_mb * MEGABYTE
    # What was started is stopped, in reverse, however far the start came and whatever goes wrong on the way back.
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(ThreadPoolExecutor(1, "spool"))
        spool = _own_spool(folder, limit_bytes)
        stack.callback(lambda: disk.submit(spool.close).result())
        # The log has connections of its own: no number of questions whether the service is ready may hold it up.
        lines = ConnectionPool(url, connections=2)
        stack.callback(lines.close)
        heartbeat = Heartbeat(lines, models, settings.api_heartbeat_seconds)
        stack.push_async_callback(heartbeat.remove)
        log = PredictionLog(url, spool, disk, settings.api_commit_seconds, settings.api_idempotency_seconds)
        drain = Drain(url, log, spool, disk, folder, limit_bytes)
        stack.push_async_callback(drain.stop)
        stack.push_async_callback(log.stop)
        shadows = Shadows(url, models, log, traffic)
        stack.callback(shadows.close)
        service = Service(
            settings=settings,
            models=models,
            log=log,
            drain=drain,
            batches=asyncio.Semaphore(BATCHES_AT_A_TIME),
            repeats=IdempotencyStore(lines, drain.find_claim, settings.api_idempotency_seconds),
            shadows=shadows,
            traffic=traffic,
            heartbeat=heartbeat,
            watch=_watch(settings, source, models, shadows),
            lines=lines,
            bodies=Bodies(traffic, settings.longest_body, settings.api_concurrency_limit),
            use_case_files=UseCaseFiles(settings.use_cases_path),
        )
        await stack.enter_async_context(_in_background(*service.work()))
        stack.callback(service.watch.stop)
        service.watch.start()
        yield service


@asynccontextmanager
async def _in_background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Has work done meanwhile, all of which goes on until it is cancelled, as it is at the end."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _watch(settings: Settings, source: ModelSource, models: Models, shadows: Shadows) -> RegistryWatch:
    """Looks for what is in production, once it is started, and for its challengers unless they are switched off."""
    cache = ModelCache(settings.home / "models", settings.keep_versions)
    fetcher = Fetcher(source, cache, settings.model_limit_bytes)
    watch = RegistryWatch(source, fetcher, cache, models, settings.api_poll_seconds)
    if settings.api_shadow:
        watch.on_challengers(ChallengerWatch(fetcher, shadows, settings.api_poll_seconds).look)
    return watch


def _own_spool(folder: Path, limit_bytes: int) -> Spool:
    try:
        return Spool.own(folder, limit_bytes)
    except (OSError, sqlite3.Error) as error:
        raise BadInput(f"the spool cannot be made in {folder} (API_SPOOL_FOLDER): {error}") from error

"""Everything that one API process is made of, put together once and started and stopped with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from modelyard.settings import Settings
from modelyard.stores.database import statement
from services.api.database import DATABASE_ERRORS, make_pool, unavailable
from services.api.errors import NotReady
from services.api.heartbeat import Heartbeat
from services.api.model_cache import ModelCache
from services.api.prediction_log import PredictionLog
from services.api.registry_watch import ModelSource, RegistryWatch
from services.api.serving import Models


@dataclass(frozen=True)
class Service:
    """The parts of a running API process."""

    settings: Settings
    models: Models
    log: PredictionLog
    heartbeat: Heartbeat
    watch: RegistryWatch
    pool: asyncpg.Pool
    database_url: str

    async def database_trouble(self) -> str | None:
        """Why predictions cannot be kept now, in a sentence; None: they can."""
        try:
            allowed = await self.pool.fetchval(statement("may_add_predictions").text)
        except DATABASE_ERRORS as error:
            return unavailable(self.database_url, error)
        return None if allowed else "the API's role may not add predictions: run the migrations"

    async def check_ready(self) -> None:
        """Returns when predictions can be answered.

        Raises:
            NotReady: They cannot; the message says why.
        """
        reasons = [] if self.models.served() else [f"{s.use_case}: {s.detail}" for s in self.models.states()]
        trouble = await self.database_trouble()
        if trouble:
            reasons.append(trouble)
        if reasons:
            raise NotReady("; ".join(reasons))


@asynccontextmanager
async def running(settings: Settings, url: str, source: ModelSource, models: Models) -> AsyncIterator[Service]:
    """Starts a service and stops it at the end.

    Args:
        settings: What it is set to.
        url: Where predictions are kept.
        source: Where models come from.
        models: Will hold what is served.
    """
    # The log has a connection of its own: no number of questions whether the service is ready may hold it up.
    async with make_pool(url, connections=1) as log_pool, make_pool(url, connections=2) as pool:
        log = PredictionLog(log_pool, url)
        heartbeat = Heartbeat(pool, url, models, settings.api_heartbeat_seconds)
        cache = ModelCache(settings.home / "models", settings.keep_versions)
        watch = RegistryWatch(source, cache, models, settings.api_poll_seconds)
        watch.start()
        tasks = [asyncio.create_task(log.run()), asyncio.create_task(heartbeat.run())]
        yield Service(settings, models, log, heartbeat, watch, pool, url)
        watch.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await heartbeat.remove()

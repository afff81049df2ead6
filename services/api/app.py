"""The application: put together here, and nowhere else."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from modelyard.settings import Settings, read_settings
from modelyard.stores.registry import Registry
from services.api.errors import answer_errors_in_one_form
from services.api.http import history as last_predictions
from services.api.http import platform as platform_services
from services.api.http.gateway import Gateway
from services.api.http.openapi import Document
from services.api.http.routes import add_routes
from services.api.limits.memory import return_large_blocks
from services.api.limits.traffic import Traffic
from services.api.logs import log_as
from services.api.models.served import Models
from services.api.models.verified import ModelSource
from services.api.required_settings import database_url, tracking_uri
from services.api.service import running

# A batch makes as many without a cycle among them; looking for cycles at every 700th would take a tenth of the time.
OBJECTS_BETWEEN_COLLECTIONS = 50_000
DESCRIPTION = """Predictions of the models in production, typed by the contract that each of them carries.

Every prediction that got a 200 is in the table `predictions`, under its `request_id`."""


def create_app(settings: Settings, source: ModelSource) -> Gateway:
    """The API.

    Args:
        settings: What it is set to; the database's URL must be.
        source: Where models come from.

    Raises:
        BadInput: No database is configured.
    """
    url = database_url(settings)
    models = Models(settings.default_use_case)
    traffic = Traffic()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        _end_with_parent()
        return_large_blocks()
        async with running(settings, url, source, models, traffic) as app.state.service:
            # What is there by now stays: the collector need not look through it again while requests wait.
            gc.collect()
            gc.freeze()
            gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
            yield

    app = FastAPIOffline(
        title="Modelyard", version=version("modelyard"), description=DESCRIPTION, redoc_url=None, lifespan=lifespan
    )
    answer_errors_in_one_form(app)
    add_routes(app)
    app.include_router(last_predictions.router)
    app.include_router(platform_services.router)
    app.openapi = Document(app, models)  # type: ignore[method-assign]
    return Gateway(app, settings, traffic)


def _end_with_parent() -> None:
    """Has one of several processes end when the one that started them is killed: it would keep the port for itself."""
    if parent := multiprocessing.parent_process():

        def end() -> None:
            parent.join()
            os.kill(os.getpid(), signal.SIGTERM)

        threading.Thread(target=end, name="end-with-parent", daemon=True).start()


def from_environment() -> Gateway:
    """The API as the environment sets it, with MLflow's registry.

    Raises:
        BadInput: A setting is missing.
    """
    settings = read_settings()
    log_as(settings)
    return create_app(settings, Registry(tracking_uri(settings)))

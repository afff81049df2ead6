"""`python -m services.api` runs the API until it is told to stop."""

import logging
import sys

import uvicorn

from modelyard.errors import BadInput, ModelyardError
from modelyard.settings import Settings, read_settings
from modelyard.stores.registry import Registry
from services.api.app import create_app

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Requests under way at SIGTERM have so long to finish.
GRACE_SECONDS = 10


def main() -> int:
    """Serves; returns the exit code when it cannot."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    try:
        settings = read_settings()
        app = create_app(settings, _registry(settings))
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    uvicorn.run(
        app,
        host=settings.bind_address,
        port=settings.api_port,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


def _registry(settings: Settings) -> Registry:
    if settings.mlflow_tracking_uri is None:
        raise BadInput("MLFLOW_TRACKING_URI is not set: the API takes its models from there")
    return Registry(settings.mlflow_tracking_uri)


if __name__ == "__main__":
    sys.exit(main())

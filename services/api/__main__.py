"""`python -m services.api` runs the API until it is told to stop."""

import logging
import os
import socket
import sys
from contextlib import suppress

import uvicorn

from modelyard.errors import BadInput, ModelyardError
from modelyard.settings import Settings, read_settings
from modelyard.stores.registry import Registry
from services.api.app import create_app
from services.api.registry_watch import ModelSource

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Requests under way at SIGTERM have so long to finish.
GRACE_SECONDS = 10
# Connections that may wait to be accepted.
BACKLOG = 2048


def main() -> int:
    """Serves what the registry has in production; returns the exit code."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    try:
        settings = read_settings()
        return serve(settings, _registry(settings))
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def serve(settings: Settings, source: ModelSource) -> int:
    """Serves until it is told to stop; returns the exit code.

    Raises:
        BadInput: A setting is missing, or the port is in use.
    """
    app = create_app(settings, source)
    listener = _listen(settings.bind_address, settings.api_port)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, proxy_headers=False, timeout_graceful_shutdown=GRACE_SECONDS
    )
    server = uvicorn.Server(config)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise BadInput(f"the API cannot listen on {host}:{port} (API_PORT): {os.strerror(error.errno or 0)}") from error


def _registry(settings: Settings) -> Registry:
    if settings.mlflow_tracking_uri is None:
        raise BadInput("MLFLOW_TRACKING_URI is not set: the API takes its models from there")
    return Registry(settings.mlflow_tracking_uri)


if __name__ == "__main__":
    sys.exit(main())

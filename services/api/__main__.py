"""`python -m services.api` runs the API until it is told to stop."""

import os
import socket
import sys
from contextlib import suppress
from tempfile import TemporaryDirectory

import uvicorn
from uvicorn.supervisors import Multiprocess

from modelyard.errors import BadInput, ModelyardError
from modelyard.settings import Settings, read_settings
from services.api.limits.connections import KEEP_ALIVE_SECONDS, Connection
from services.api.logs import log_as
from services.api.metrics import SHARED_FOLDER
from services.api.required_settings import database_url, tracking_uri

FACTORY = "services.api.app:from_environment"
# Requests under way at SIGTERM have so long to finish.
GRACE_SECONDS = 10
# Connections that may wait to be accepted.
BACKLOG = 2048


def main() -> int:
    """Serves what the registry has in production; returns the exit code."""
    try:
        settings = read_settings()
        log_as(settings)
        # Here too, so that it is one sentence and not one for each process.
        database_url(settings)
        tracking_uri(settings)
        return serve(settings, FACTORY)
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code


def serve(settings: Settings, factory: str) -> int:
    """Serves until it is told to stop; returns the exit code.

    Args:
        settings: What it is set to.
        factory: What makes the application, as module:function; every process calls it.

    Raises:
        BadInput: A setting is missing, or the port is in use.
    """
    listener = _listen(settings.bind_address, settings.api_port)
    config = uvicorn.Config(
        factory,
        factory=True,
        http=Connection,
        ws="none",
        workers=settings.api_workers,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    if settings.api_workers > 1:
        with TemporaryDirectory(prefix="modelyard-metrics-") as folder:
            # Where the processes write their numbers, so that each can add them up.
            os.environ[SHARED_FOLDER] = folder
            Multiprocess(config, sockets=[listener]).run()
        return 0
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


if __name__ == "__main__":
    sys.exit(main())

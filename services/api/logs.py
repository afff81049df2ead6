"""How the API's log looks: lines for people, or JSON for what collects logs."""

import logging

from pythonjsonlogger.json import JsonFormatter

from modelyard.settings import Settings

LINES = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = ["asctime", "levelname", "name", "process", "message"]
NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}


def log_as(settings: Settings) -> None:
    """Sets the log of this process up."""
    handler = logging.StreamHandler()
    if settings.api_log_format == "json":
        handler.setFormatter(JsonFormatter(FIELDS, rename_fields=NAMES))
    else:
        handler.setFormatter(logging.Formatter(LINES))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

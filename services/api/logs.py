"""How the API's log looks: lines for people, or JSON for what collects logs. Nobody can fill a disk with them."""

import logging
import threading

from pythonjsonlogger.json import JsonFormatter

from modelyard.settings import Settings

LINES = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIELDS = ["asctime", "levelname", "name", "process", "message"]
NAMES = {"asctime": "time", "levelname": "level", "name": "logger"}
# Of one kind, so many lines are written in so many seconds.
MOST_OF_A_KIND = 20
PERIOD_SECONDS = 60.0

# The line of code that logs.
Kind = tuple[str, int]


class FewOfAKind(logging.Filter):
    """Leaves out what is said again and again, and says at the end of the period how often that was.

    It is about warnings and errors, which whoever sends bad requests can bring about as often as they like. What is
    below is rare, or was asked for: `API_LOG_REQUESTS`, `API_LOG_REJECTED`.

    Args:
        handler: Where it is said.
        period_seconds: How long a period is.
    """

    def __init__(self, handler: logging.Handler, period_seconds: float = PERIOD_SECONDS) -> None:
        super().__init__()
        self._handler = handler
        self._period_seconds = period_seconds
        self._counts: dict[Kind, int] = {}
        self._last: dict[Kind, logging.LogRecord] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is written."""
        if record.levelno < logging.WARNING:
            return True
        with self._lock:
            if not self._counts:
                self._begin()
            kind = record.pathname, record.lineno
            self._counts[kind] = self._counts.get(kind, 0) + 1
            is_left_out = self._counts[kind] > MOST_OF_A_KIND
            if is_left_out:
                self._last[kind] = record
            return not is_left_out

    def _begin(self) -> None:
        timer = threading.Timer(self._period_seconds, self._end)
        timer.daemon = True
        timer.start()

    def _end(self) -> None:
        with self._lock:
            counts, last = self._counts, self._last
            self._counts, self._last = {}, {}
        for kind, record in last.items():
            self._handler.handle(_summary(record, counts[kind] - MOST_OF_A_KIND))


def _summary(record: logging.LogRecord, left_out: int) -> logging.LogRecord:
    sentence = "%d more lines of this kind were left out, the last one: %s"
    arguments = (left_out, record.getMessage())
    return logging.LogRecord(record.name, logging.INFO, record.pathname, record.lineno, sentence, arguments, None)


def log_as(settings: Settings) -> None:
    """Sets the log of this process up."""
    handler = logging.StreamHandler()
    if settings.api_log_format == "json":
        handler.setFormatter(JsonFormatter(FIELDS, rename_fields=NAMES))
    else:
        handler.setFormatter(logging.Formatter(LINES))
    handler.addFilter(FewOfAKind(handler))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)

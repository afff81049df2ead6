"""Which API processes run, and which version each of them serves: the heartbeats that they write."""

from datetime import datetime

from sqlalchemy import Engine

from modelyard.contract import Frozen
from modelyard.stores.database import statement, transaction


class ApiProcess(Frozen):
    """What an API process last said of one use case.

    Attributes:
        host: Its machine.
        pid: Its process id there.
        model_version: The version that answers, if there is one.
        target_version: The version in production as it knows it, if it knows one.
        self_test: `ok`, or `failed`: the offered version did not answer its example as it did at training; None: it
            has not looked at one yet.
        detail: A sentence about it.
        seen_at: When it said so.
    """

    host: str
    pid: int
    model_version: int | None
    target_version: int | None
    self_test: str | None
    detail: str
    seen_at: datetime


class ApiProcesses:
    """The table of heartbeats."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def alive(self, use_case: str, fresh_seconds: float) -> list[ApiProcess]:
        """The processes whose last heartbeat is not older than so many seconds."""
        with transaction(self._engine) as connection:
            rows = connection.execute(
                statement("alive_api_processes"), {"use_case": use_case, "fresh_seconds": fresh_seconds}
            )
            return [ApiProcess(**row) for row in rows.mappings()]

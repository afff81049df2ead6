"""A Postgres that a test may stop and start."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
from sqlalchemy import text

from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.stores.database import make_engine
from modelyard.stores.processes import ApiProcesses

FRESH_SECONDS = 15.0


class OwnPostgres:
    """A Postgres that runs at first."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self._home = home
        self._stack = stack
        self.start()

    def start(self) -> None:
        """Starts it."""
        self._running: Postgres = self._stack.enter_context(embedded_postgres(self._home))

    def stop(self) -> None:
        """Stops it."""
        self._stack.pop_all().close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Takes connections, and says nothing, while the block runs."""
        data = str(self._home / "postgres" / "data")
        processes = [each for each in psutil.process_iter(["cwd"]) if each.info["cwd"] == data]
        assert processes
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGCONT)

    def url(self, role: str) -> str:
        """The URL of `raw_data`."""
        return self._running.url("raw_data", role)

    def request_ids(self) -> list[str]:
        """The predictions of what was in production that it keeps."""
        engine = make_engine(self.url("pipeline"))
        try:
            with engine.connect() as connection:
                query = "select request_id from predictions where role = 'production'"
                return [str(each) for each in connection.scalars(text(query))]
        finally:
            engine.dispose()

    def processes(self, use_case: str = "loan_approval") -> set[int]:
        """The processes that are alive."""
        engine = make_engine(self.url("pipeline"))
        try:
            return {process.pid for process in ApiProcesses(engine).alive(use_case, FRESH_SECONDS)}
        finally:
            engine.dispose()

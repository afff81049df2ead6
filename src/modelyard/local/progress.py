"""What people see while long things run: a line for each event, with the time since the start, on stderr."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape


class Progress:
    """Lines that read well in a terminal and in the log of a machine."""

    def __init__(self) -> None:
        """The clock starts now."""
        self._started = time.monotonic()
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._started

    def say(self, event: str) -> None:
        """Writes what has just happened."""
        self._console.print(f"[dim]{self.seconds:6.1f} s[/dim]  {escape(event)}")

    @contextmanager
    def waiting(self, reason: str) -> Iterator[None]:
        """Shows in a terminal that something is waited for; in a log, nothing is."""
        with self._console.status(escape(reason)):
            yield

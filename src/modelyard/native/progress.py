"""What people see while long things run: a line for each event, with the clock and the seconds so far, on stderr."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as RichProgress
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn


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
        # The clock first, as in the lines of the log that stand between these.
        clock = time.strftime("%H:%M:%S")
        self._console.print(f"[dim]{clock} {self.seconds:6.1f} s[/dim]  {escape(event)}")


@contextmanager
def counting(what: str, things: str) -> Iterator[Callable[[int], None]]:
    """A line in a terminal that says how many things are done and how fast; in a log, there is none.

    Args:
        what: What is being done.
        things: What is counted.
    """
    console = Console(stderr=True, highlight=False)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[said]}"),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(escape(what), total=None, said="")
        started, first = time.monotonic(), -1

        def tell(done: int) -> None:
            nonlocal started, first
            if first < 0:
                started, first = time.monotonic(), done
            rate = (done - first) / max(time.monotonic() - started, 1e-9)
            bar.update(task, said=f"{done:,} {things}" + (f", {rate:,.0f}/s" if done > first else ""))

        yield tell

"""A server of one home that several processes use: the first starts it, the last stops it.

Who uses it is told by locks, not by a counter: a lock ends with its process, however that ends. A server that killed
users left behind is found, used and stopped by the next one.
"""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

LOGGER = logging.getLogger(__name__)


class Server(Protocol):
    """What can be shared."""

    @property
    def name(self) -> str:
        """Its name in messages and in the names of the lock files."""

    def is_running(self) -> bool:
        """Whether it runs and answers, whoever started it."""

    def start(self) -> None:
        """Starts it and waits until it answers; one that is starting already is waited for."""

    def stop(self) -> None:
        """Stops it, and what is left of it; nothing happens when nothing runs."""


@contextmanager
def shared(server: Server, home: Path) -> Iterator[None]:
    """Uses a server: started if it does not run, stopped at the end unless another process or thread uses it.

    Args:
        server: The server.
        home: The folder of all local state; the locks are in its `run`.
    """
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{server.name}.users").open("a") as users:
        try:
            with _alone(folder, server.name):
                fcntl.flock(users, fcntl.LOCK_SH)
                if not server.is_running():
                    server.start()
            yield
        finally:
            with _alone(folder, server.name):
                fcntl.flock(users, fcntl.LOCK_UN)
                if _unused(users):
                    server.stop()


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """One at a time starts or stops the server."""
    with (folder / f"{name}.lock").open("a") as file:
        if not _locked(file):
            LOGGER.info("waiting for another process, which is starting or stopping %s", name)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _unused(users: IO[str]) -> bool:
    return _locked(users)


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

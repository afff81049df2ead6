"""A server of one home that several processes use: the first starts it, the last stops it.

Who uses it is told by locks, not by a counter: a lock ends with its process, however that ends. What killed users leave
behind is stopped by the home's guard (`guard.py`), or found, used and stopped by the next user.

Three kinds of locks: `<server>.lock` is held by who starts or stops the server, `<server>.users` by all who use it,
`guard.lock` by the guard.
"""

import fcntl
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from modelyard.embedded.locks import lock_at_once, open_lock

LOGGER = logging.getLogger(__name__)

GUARD_END_SECONDS = 5
SOON_SECONDS = 0.5
POLL_SECONDS = 0.05
# The shell ends at once: what it starts is nobody's child, as it may outlive the process that started it.
DETACHED = ("/bin/sh", "-c", '"$@" </dev/null >>"$0" 2>&1 &')


class Stoppable(Protocol):
    """A server that may be running."""

    @property
    def name(self) -> str:
        """Its name in messages and in the names of the lock files."""

    def stop(self) -> None:
        """Stops it, and what is left of it; nothing happens when nothing runs."""


class Server(Stoppable, Protocol):
    """What can be shared."""

    def is_running(self) -> bool:
        """Whether it runs and answers, whoever started it."""

    def start(self) -> None:
        """Starts it and waits until it answers; what runs without answering is waited for, or replaced."""


@contextmanager
def alone(home: Path, name: str) -> Iterator[IO[str]]:
    """One at a time starts, stops or looks at the server of that name; waits for who does."""
    with _server_lock(home, name) as lock:
        if not wait_until(lambda: lock_at_once(lock), SOON_SECONDS):
            LOGGER.info("waiting for another process, which is starting or stopping %s", name)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


@contextmanager
def shared(server: Server, home: Path) -> Iterator[None]:
    """Uses a server: started if it does not run, stopped at the end unless another process or thread uses it.

    Args:
        server: The server.
        home: The folder of all local state.
    """
    with _users_lock(home, server.name) as users:
        try:
            with alone(home, server.name):
                fcntl.flock(users, fcntl.LOCK_SH)
                _call_the_guard(home)
                if not server.is_running():
                    server.start()
            yield
        finally:
            with alone(home, server.name):
                fcntl.flock(users, fcntl.LOCK_UN)
                if lock_at_once(users):
                    server.stop()


def is_used(home: Path, name: str) -> bool:
    """Whether a process uses the server; waits for one that is starting or stopping it."""
    with alone(home, name):
        return _has_users(home, name)


def end_if_unused(home: Path, name: str, guard_lock: IO[str]) -> None:
    """Ends this process, the guard, if nobody uses the server.

    The locks end with the process, the guard's own first: who waits for it finds it gone, and who comes finds no guard
    and starts one.
    """
    with alone(home, name) as lock:
        if not _has_users(home, name):
            # The kernel closes files in the order of their numbers.
            fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, guard_lock.fileno() + 1)
            os._exit(0)


def stop_unused(home: Path, server: Stoppable) -> bool:
    """Stops a server that nobody uses.

    Returns:
        Whether it is used, or just being started or stopped.
    """
    with _server_lock(home, server.name) as lock, _users_lock(home, server.name) as users:
        if not (lock_at_once(lock) and lock_at_once(users)):
            return True
        server.stop()
        return False


def wait_for_the_guard(home: Path, name: str) -> None:
    """Waits, after a server was left, until the guard is gone too: it goes when it sees that nobody uses anything."""
    wait_until(lambda: not _is_only_guarded(home, name), GUARD_END_SECONDS)


def wait_until(holds: Callable[[], bool], seconds: float, every: float = POLL_SECONDS) -> bool:
    """Waits for a condition; False: it does not hold after that time."""
    deadline = time.monotonic() + seconds
    while not (held := holds()) and time.monotonic() < deadline:
        time.sleep(every)
    return held


def start_detached(
    command: Sequence[str],
    log: Path,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    keep_open: Sequence[int] = (),
) -> None:
    """Starts a process in a session of its own, which neither Ctrl-C nor the end of its starter ends.

    Args:
        command: Program and arguments.
        log: Where its output goes, behind what is there.
        folder: Its working folder.
        environment: Its environment; None: that of this process.
        keep_open: File descriptors that it inherits.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [*DETACHED, str(log), *command],
        check=True,
        cwd=folder,
        env=environment,
        pass_fds=keep_open,
        start_new_session=True,
    )


def error_line(said: str) -> str:
    """The last line that names an error, else the last one, of what a process has said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
    return next(reversed(errors or lines), "it said nothing")


def said_since(log: Path, size: int) -> str:
    """What was written into a log after it had this size, in bytes."""
    with log.open("rb") as file:
        file.seek(size)
        return file.read().decode(errors="replace")


def size_of(log: Path) -> int:
    """The size of a log in bytes; one that is not there yet has none."""
    return log.stat().st_size if log.exists() else 0


def _call_the_guard(home: Path) -> None:
    """Starts the home's guard if there is none. Its lock is taken here and handed on: there is never a second."""
    with _guard_lock(home) as lock:
        if lock_at_once(lock):
            command = [sys.executable, "-P", "-m", "modelyard.embedded.watchdog", str(home), str(lock.fileno())]
            start_detached(command, home / "logs" / "guard.log", folder=home, keep_open=[lock.fileno()])


def _guard_lock(home: Path) -> IO[str]:
    return open_lock(home, "guard.lock")


def _users_lock(home: Path, name: str) -> IO[str]:
    return open_lock(home, f"{name}.users")


def _server_lock(home: Path, name: str) -> IO[str]:
    return open_lock(home, f"{name}.lock")


def _is_only_guarded(home: Path, name: str) -> bool:
    with alone(home, name), _guard_lock(home) as guard:
        return not _has_users(home, name) and not lock_at_once(guard)


def _has_users(home: Path, name: str) -> bool:
    with _users_lock(home, name) as users:
        return not lock_at_once(users)

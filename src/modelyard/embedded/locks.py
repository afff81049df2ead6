"""Locks of a home: files in its folder `run`, never deleted. A lock ends with its process, or as its file is closed."""

import fcntl
from pathlib import Path
from typing import IO

from modelyard.errors import BadInput
from modelyard.home import open_home


def run_folder(home: Path) -> Path:
    """The folder with what is only so while something runs; made when it is not there.

    Raises:
        BadInput: The home cannot hold it.
    """
    folder = open_home(home) / "run"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput(f"{home} cannot hold Modelyard's state: {error.strerror} ({error.filename})") from error
    return folder


def open_lock(home: Path, name: str) -> IO[str]:
    """The file of a lock, which nobody holds by that yet.

    Raises:
        BadInput: It is another user's, or the home cannot hold it.
    """
    lock = run_folder(home) / name
    try:
        return lock.open("a")
    except PermissionError as error:
        raise BadInput(f"{lock} is another user's: work as that user, or in a MODELYARD_HOME of your own") from error


def lock_at_once(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Takes a lock if nobody's stands against it.

    Args:
        file: That `open_lock` opened.
        kind: LOCK_EX: nobody else may hold it; LOCK_SH: others may, too.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

"""Sources that a person at a shell lets runs in Airflow load, for as long as her command goes on.

A grant is a file in the home that holds the source, locked by the process that gave it. One that nobody holds any more,
since that process was killed, grants nothing.
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile

FOLDER = "granted"


@contextmanager
def granted(home: Path, source: str | None) -> Iterator[None]:
    """Lets runs in this home's Airflow load a source.

    Args:
        home: The folder of all local state.
        source: An absolute path or a URL; None: nothing is granted.
    """
    if source is None:
        yield
        return
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=folder, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(source)
        file.flush()
        yield


def granted_sources(home: Path) -> list[str]:
    """What is granted now.

    Args:
        home: The folder of all local state.
    """
    return [source for file in (home / FOLDER).glob("*") if (source := _granted(file))]


def _granted(grant: Path) -> str:
    try:
        with grant.open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read()
    except FileNotFoundError:  # its process has just ended
        pass
    return ""

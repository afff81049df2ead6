"""The folder of all local state, which nobody but its owner can read: records, images, answers, models and secrets."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from modelyard.errors import BadInput

# What Modelyard puts into a home. Whatever else lies in the folder that MODELYARD_HOME names is not touched.
PARTS = (
    "airflow",
    "demo.json",
    "granted",
    "jupyter",
    "logs",
    "mlflow",
    "models",
    "objects",
    "run",
    "scores",
    "secrets",
    "spool",
)
PRIVATE = 0o700
PRIVATE_FILE = 0o600
# Somebody else may pass through, and list or read nothing.
PASSABLE = 0o711
READABLE_BY_OTHERS = 0o066


def open_home(home: Path) -> Path:
    """Makes a home, or closes one that others can read; what this process writes from now on is its owner's alone.

    Args:
        home: The folder, absolute.

    Returns:
        The same folder.

    Raises:
        BadInput: It cannot be made, or belongs to another user.
    """
    os.umask(0o077)
    try:
        home.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        if home.stat().st_mode & READABLE_BY_OTHERS:
            _close(home)
    except OSError as error:
        raise BadInput(f"{home} cannot hold Modelyard's state: {error.strerror} ({error.filename})") from error
    return home


def write_private(file: Path, text: str) -> None:
    """Writes a file that its owner alone can read, also if it was there with another mode."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    os.fchmod(descriptor, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)


def let_others_pass(home: Path, *folders: Path) -> None:
    """Lets the user that a server runs as reach its own files in a home, and read no others."""
    for folder in (home, *folders):
        folder.chmod(PASSABLE)


def _close(home: Path) -> None:
    """Takes what is there from everybody else; the home last, so that one that was closed half-way is closed again."""
    for path in _files_and_folders(home):
        # What runs there may remove a file meanwhile.
        with suppress(FileNotFoundError):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & PRIVATE)
    home.chmod(PRIVATE)


def _files_and_folders(home: Path) -> Iterator[Path]:
    for part in (home / name for name in PARTS):
        if part.exists():
            yield part
            yield from part.rglob("*")

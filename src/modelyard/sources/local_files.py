"""Files of this machine that are read as what they are: regular files, and no link that was put in their place."""

import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

from modelyard.errors import BadInput

# A folder on the way to a file need not be readable. Where there is no O_PATH, it must be.
ON_THE_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe would wait for somebody who writes.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
HIDDEN = "."


class Entry(NamedTuple):
    """What lies in a folder, or in one of its folders.

    Attributes:
        path: Within the folder.
        size: In bytes.
        problem: Why it is not read, as the end of a sentence; empty when it is.
    """

    path: str
    size: int = 0
    problem: str = ""


def open_regular(path: str) -> BufferedReader:
    """Opens a regular file for reading.

    Args:
        path: Absolute and without links, as `os.path.realpath` says it. One that was put there since is not followed.

    Raises:
        BadInput: It is a pipe, a device or the like.
        OSError: It is not there, may not be read, or has become a link.
    """
    descriptor = _descriptor(path)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(path)
        if not stat.S_ISREG(mode):
            raise BadInput(f"{path} is no regular file but a pipe, a device or the like: copy its content into a file")
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def list_files(folder: str) -> Iterator[Entry]:
    """All that lies in a folder and in its folders. Hidden names are left out, and links are not followed.

    Raises:
        OSError: One of the folders may not be read.
    """
    yield from _entries(folder, "")


def _descriptor(path: str) -> int:
    root, *folders = Path(path).parent.parts
    place = os.open(root, ON_THE_WAY)
    try:
        for folder in folders:
            left, place = place, os.open(folder, ON_THE_WAY, dir_fd=place)
            os.close(left)
        return os.open(Path(path).name or root, FILE, dir_fd=place)
    finally:
        os.close(place)


def _entries(folder: str, within: str) -> Iterator[Entry]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{within}{entry.name}"
            if entry.name.startswith(HIDDEN):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path, f"{path}/")
            else:
                yield _entry(entry, path)


def _entry(entry: "os.DirEntry[str]", path: str) -> Entry:
    if entry.is_symlink():
        return Entry(path, problem="is a link, and links are not followed: put the file itself there")
    if not entry.is_file(follow_symlinks=False):
        return Entry(path, problem="is no regular file but a pipe, a device or the like")
    return Entry(path, entry.stat(follow_symlinks=False).st_size)

"""Where a source is: in which file system, and by which path."""

import os
from typing import BinaryIO, NamedTuple, cast

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from modelyard.sources.local_files import open_regular

# By its name: it is only loaded for a source of its own.
fsspec.register_implementation("sklearn", "modelyard.sources.bundled.BundledDataSets")


class Place(NamedTuple):
    """Where a file or folder is.

    Attributes:
        system: The file system that has it.
        path: Its path there; on this machine absolute and without links.
    """

    system: AbstractFileSystem
    path: str

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine."""
        return isinstance(self.system, LocalFileSystem)

    def below(self, path: str) -> "Place":
        """A file or folder in this folder."""
        return Place(self.system, f"{self.path}/{path}")

    def open(self) -> BinaryIO:
        """Opens the file for reading.

        Raises:
            BadInput: It is a pipe, a device or the like.
            OSError: It cannot be read.
        """
        return open_regular(self.path) if self.is_local else cast(BinaryIO, self.system.open(self.path, "rb"))


def place_of(source: str) -> Place:
    """Where a source is.

    Args:
        source: A path or a URL that fsspec can open.

    Raises:
        ValueError: It is of no kind that is known.
    """
    system, path = fsspec.core.url_to_fs(source)
    return Place(system, os.path.realpath(path) if isinstance(system, LocalFileSystem) else path)

"""Pictures and arrays: files in a folder or a bucket, under names that follow from what they hold.

    <use case>/pictures/<sha256>                              a picture's file, as it came
    <use case>/arrays/<snapshot>/<part>-<shard>.npy           its pixels, with those of others of its part

A name with a row, `…/arrays/<snapshot>/train-00003.npy#17`, is the key of one picture's pixels: it is what tables
hold and steps tell each other.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from modelyard.errors import BadInput, ServiceUnavailable, StepFailed

Pixels = NDArray[np.uint8]

ROW = "#"


def picture_name(data_name: str, sha256: str) -> str:
    """The name of a picture's file."""
    return f"{data_name}/pictures/{sha256}"


def arrays_folder(data_name: str, snapshot_id: str) -> str:
    """The folder of a snapshot's arrays."""
    return f"{data_name}/arrays/{snapshot_id}"


def required(objects: "ObjectStore | None") -> "ObjectStore":
    """The store of those who cannot do without.

    Raises:
        BadInput: There is none.
    """
    if objects is None:
        raise BadInput("pictures need a store for them and their pixels: set OBJECTS_URL")
    return objects


class ObjectStore:
    """A folder or bucket.

    Args:
        url: Where it is: a path or a URL that fsspec can open.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def put(self, name: str, content: bytes) -> None:
        """Keeps a file, all of it or nothing. One that is there under that name is replaced.

        Raises:
            ServiceUnavailable: The store cannot be written.
        """
        with self._files() as (files, root):
            path = f"{root}/{name}"
            if self.local_path(name) is None:
                # An object is there when all of it is.
                files.pipe_file(path, content)
                return
            files.makedirs(files._parent(path), exist_ok=True)
            with files.transaction, files.open(path, "wb") as file:
                file.write(content)

    def has(self, name: str) -> bool:
        """Whether there is a file of that name.

        Raises:
            ServiceUnavailable: The store does not answer.
        """
        with self._files() as (files, root):
            return bool(files.exists(f"{root}/{name}"))

    def get(self, name: str) -> bytes:
        """A file's content.

        Raises:
            StepFailed: There is none.
            ServiceUnavailable: The store does not answer.
        """
        with self._files() as (files, root):
            try:
                return cast(bytes, files.cat_file(f"{root}/{name}"))
            except FileNotFoundError as error:
                raise StepFailed(f"{self._url}/{name} is gone: load and preprocess the use case again") from error

    def remove(self, folder: str) -> None:
        """Removes a folder with all that is in it, if it is there.

        Raises:
            ServiceUnavailable: The store does not answer.
        """
        with self._files() as (files, root):
            if files.exists(f"{root}/{folder}"):
                files.rm(f"{root}/{folder}", recursive=True)

    def put_array(self, name: str, array: Pixels) -> None:
        """Keeps an array, in numpy's own format without pickle.

        Raises:
            ServiceUnavailable: The store cannot be written.
        """
        file = BytesIO()
        np.save(file, array, allow_pickle=False)
        self.put(name, file.getvalue())

    @contextmanager
    def arrays(self) -> Iterator["Arrays"]:
        """Reads arrays; what is fetched from afar for that is kept on this machine until the end."""
        with TemporaryDirectory(prefix="modelyard-arrays-") as folder:
            yield Arrays(self, Path(folder))

    def local_path(self, name: str) -> Path | None:
        """Where a file is on this machine, if the store is a folder."""
        return None if "://" in self._url else Path(self._url) / name

    @contextmanager
    def _files(self) -> Iterator[tuple[Any, str]]:
        # Only here: a step that has no pictures need not load it.
        import fsspec

        try:
            yield fsspec.core.url_to_fs(self._url)
        except OSError as error:
            raise self._unavailable(error) from error
        except _errors_of(self._url) as error:
            raise self._unavailable(error) from error

    def _unavailable(self, reason: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(f"pictures and arrays at {self._url} (OBJECTS_URL): {reason}")


class Arrays:
    """Pixels by their keys. Files are mapped into memory, so that only what is asked for is read."""

    def __init__(self, objects: ObjectStore, folder: Path) -> None:
        self._objects = objects
        self._folder = folder
        self._open: dict[str, Pixels] = {}

    def pixels(self, keys: Sequence[str]) -> Pixels:
        """The pixels of the pictures with these keys, of shape (pictures, height, width, channels).

        Raises:
            StepFailed: They are gone.
            ServiceUnavailable: The store does not answer.
        """
        places = [key.rpartition(ROW) for key in keys]
        return np.stack([self._shard(name)[int(row)] for name, _, row in places])

    def _shard(self, name: str) -> Pixels:
        if name not in self._open:
            self._open[name] = np.load(self._path(name), mmap_mode="r", allow_pickle=False)
        return self._open[name]

    def _path(self, name: str) -> Path:
        path = self._objects.local_path(name)
        if path is not None and path.exists():
            return path
        fetched = self._folder / f"{len(self._open)}.npy"
        fetched.write_bytes(self._objects.get(name))
        return fetched


def _errors_of(url: str) -> tuple[type[Exception], ...]:
    if url.startswith("s3://"):
        import botocore.exceptions

        return (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
    return ()

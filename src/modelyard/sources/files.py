"""Files wherever they are: on this machine, in an object store, on the web; plain or compressed."""

import hashlib
import lzma
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import BinaryIO

import fsspec

from modelyard.errors import BadInput, ModelyardError, ServiceUnavailable

# By its name: it is only loaded for a source of its own.
fsspec.register_implementation("sklearn", "modelyard.sources.bundled.BundledDataSets")

BLOCK_BYTES = 1024 * 1024
# What the decompressors raise when a file is cut off or is not what its name says. A bad gzip file is an OSError.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


class Content:
    """The bytes of a source, decompressed, and their hash as far as they have been read."""

    def __init__(self, source: str, file: BinaryIO) -> None:
        self.source = source
        self._file = file
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes, up to so many; none at the end.

        Raises:
            BadInput: The file is damaged.
            ServiceUnavailable: The server that has it stopped answering.
        """
        with explained(self.source):
            block = self._file.read(size)
        self._hash.update(block)
        return block

    @property
    def sha256(self) -> str:
        """Hash of all that was read so far."""
        return self._hash.hexdigest()


@contextmanager
def opened(source: str) -> Iterator[Content]:
    """Opens a source; it is decompressed when the ending of its name says that it is compressed.

    Args:
        source: A path or a URL that fsspec can open.

    Raises:
        BadInput: There is no such file, or it cannot be opened.
        ServiceUnavailable: The server that has it does not answer.
    """
    with ExitStack() as stack:
        with explained(source):
            file = stack.enter_context(fsspec.open(source, "rb", compression="infer"))
        yield Content(source, file)


def is_there(source: str) -> bool:
    """Whether there is a file or folder at a path or URL.

    Raises:
        BadInput: It cannot be looked for.
        ServiceUnavailable: The server that would have it does not answer.
    """
    with explained(source):
        files, path = fsspec.core.url_to_fs(source)
        return bool(files.exists(path))


def content_hash(source: str) -> str:
    """The sha256 of a source's decompressed content, in hexadecimal.

    Raises:
        BadInput: There is no such file, or it is damaged.
        ServiceUnavailable: The server that has it does not answer.
    """
    with opened(source) as content:
        while content.read(BLOCK_BYTES):
            pass
        return content.sha256


def copy_content(source: str, sha256: str, target: str) -> bool:
    """Copies a source's decompressed content, all of it or nothing, to where it is not yet.

    Args:
        source: A path or URL.
        sha256: Hash that its content must have.
        target: A path or URL that stands for this content; its folder is made.

    Returns:
        Whether it was copied: False when it was there already.

    Raises:
        BadInput: The source cannot be read or has other content by now, or the target cannot be written.
        ServiceUnavailable: A server that has the one or takes the other does not answer.
    """
    with explained(target):
        files, path = fsspec.core.url_to_fs(target)
        if files.exists(path):
            return False
        files.makedirs(files._parent(path), exist_ok=True)
        with files.transaction, opened(source) as content, files.open(path, "wb") as copy:
            while block := content.read(BLOCK_BYTES):
                copy.write(block)
            if content.sha256 != sha256:
                raise BadInput(f"{source} was changed after it was read: load it again when it is complete")
    return True


@contextmanager
def explained(source: str) -> Iterator[None]:
    """Turns what reading a source raises into errors that say what is wrong with it.

    Raises:
        BadInput: It is not there, or cannot be read.
        ServiceUnavailable: The server that has it does not answer.
    """
    try:
        yield
    except FileNotFoundError as error:
        # Over HTTP, this is also what is raised when the server cannot be reached, with the reason as its cause.
        reason = error.__cause__
        if reason is None or getattr(reason, "status", None) == HTTPStatus.NOT_FOUND:
            raise BadInput(f"{source}: there is no such file") from error
        raise _unreadable(source, reason) from error
    except IsADirectoryError as error:
        raise BadInput(f"{source} is a folder, not a file") from error
    except PermissionError as error:
        raise BadInput(f"{source}: the user that Modelyard runs as may not read this file") from error
    except (ValueError, ImportError, *DAMAGED) as error:
        raise BadInput(f"{source} cannot be read: {error}") from error
    except OSError as error:
        raise _unreadable(source, error) from error
    except _network_errors(source) as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str, reason: BaseException) -> ModelyardError:
    if "://" in source:
        return ServiceUnavailable(f"{source} cannot be read, its server does not answer as it should: {reason}")
    return BadInput(f"{source} cannot be read: {reason}")


def _network_errors(source: str) -> tuple[type[Exception], ...]:
    """What the client of a source's protocol raises besides OSError."""
    if source.startswith(("http://", "https://")):
        import aiohttp

        return (aiohttp.ClientError,)
    if source.startswith("s3://"):
        import botocore.exceptions

        return (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError)
    return ()

"""Files wherever they are: on this machine, in an object store, on the web; plain or compressed."""

import hashlib
import lzma
import math
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from typing import BinaryIO

import fsspec
from fsspec.compression import compr
from fsspec.utils import infer_compression

from modelyard.errors import BadInput, ModelyardError, ServiceUnavailable
from modelyard.sources.reach import ANYWHERE, Reach

BLOCK_BYTES = 1024 * 1024
# What the decompressors raise when a file is cut off or is not what its name says. A bad gzip file is an OSError.
DAMAGED = (EOFError, zlib.error, lzma.LZMAError)


class Content:
    """The bytes of a source, decompressed, and their hash as far as they have been read.

    Args:
        source: What messages call it.
        file: Gives the bytes.
        limit_bytes: So many are read at most.
    """

    def __init__(self, source: str, file: BinaryIO, limit_bytes: float = math.inf) -> None:
        self.source = source
        self._file = file
        self._limit = limit_bytes
        self._read = 0
        self._hash = hashlib.sha256()

    def read(self, size: int) -> bytes:
        """The next bytes: as many as are asked for, fewer at the end only.

        Raises:
            BadInput: The file is damaged, or larger than may be read.
            ServiceUnavailable: The server that has it stopped answering.
        """
        with explained(self.source):
            block = b"".join(self._pieces(size))
        self._read += len(block)
        if self._read > self._limit:
            raise BadInput(f"{self.source} holds more than {self._limit / 1024**2:.0f} MB (SOURCES_LIMIT_MB)")
        self._hash.update(block)
        return block

    def _pieces(self, size: int) -> Iterator[bytes]:
        # What comes over the network comes in pieces.
        while size and (piece := self._file.read(size)):
            yield piece
            size -= len(piece)

    @property
    def sha256(self) -> str:
        """Hash of all that was read so far."""
        return self._hash.hexdigest()


@contextmanager
def opened(source: str, reach: Reach = ANYWHERE) -> Iterator[Content]:
    """Opens a source; it is decompressed when the ending of its name says that it is compressed.

    Args:
        source: A path or URL.
        reach: What may be opened.

    Raises:
        BadInput: There is no such file, or it cannot be opened.
        ServiceUnavailable: The server that has it does not answer.
    """
    with ExitStack() as stack:
        with explained(source):
            file = stack.enter_context(reach.locate(source).open())
            if compression := infer_compression(source):
                file = stack.enter_context(compr[compression](file, mode="rb"))
        yield Content(source, file, reach.limit_bytes)


def is_there(source: str) -> bool:
    """Whether there is a file or folder at a path or URL.

    Raises:
        BadInput: It cannot be looked for.
        ServiceUnavailable: The server that would have it does not answer.
    """
    with explained(source):
        files, path = fsspec.core.url_to_fs(source)
        return bool(files.exists(path))


def content_hash(source: str, reach: Reach = ANYWHERE) -> str:
    """The sha256 of a source's decompressed content, in hexadecimal.

    Args:
        source: A path or URL.
        reach: What may be opened.

    Raises:
        BadInput: There is no such file, or it is damaged.
        ServiceUnavailable: The server that has it does not answer.
    """
    with opened(source, reach) as content:
        while content.read(BLOCK_BYTES):
            pass
        return content.sha256


def copy_content(source: str, sha256: str, target: str, reach: Reach = ANYWHERE) -> bool:
    """Copies a source's decompressed content, all of it or nothing, to where it is not yet.

    Args:
        source: A path or URL.
        sha256: Hash that its content must have.
        target: A path or URL that stands for this content; its folder is made.
        reach: What may be opened as a source.

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
        with files.transaction, opened(source, reach) as content, files.open(path, "wb") as copy:
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
        raise _missing(source, error.__cause__) from error
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


def _missing(source: str, reason: BaseException | None) -> ModelyardError:
    # Over HTTP, this is also what is raised when the server cannot be reached, or must not be, with the reason as its
    # cause.
    if isinstance(reason, ModelyardError):
        return reason
    if reason is None or getattr(reason, "status", None) == HTTPStatus.NOT_FOUND:
        return BadInput(f"{source}: there is no such file")
    return _unreadable(source, reason)


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

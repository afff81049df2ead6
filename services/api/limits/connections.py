"""The connections of clients, bounded in number and in what the server keeps of each before anybody reads it.

uvicorn answers what comes whole. What it leaves open is bounded here: connections without end that ask nothing, heads
without end, and answers that nobody fetches.
"""

import asyncio
import resource
from collections.abc import Iterable
from functools import cache
from typing import ClassVar, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Longer than clients keep a connection that nobody uses: one that is closed as they take it again is a failed request.
KEEP_ALIVE_SECONDS = 75
# The head of a request, and whatever else says nothing yet.
LONGEST_HEAD_BYTES = 32 * 1024
MOST_HEADERS = 100
# Requests on one connection that wait for the answer to the one before them.
MOST_PIPELINED = 8
# Beside those that are answered, so many connections may be open.
MOST_IDLE = 1000
# Files that are open for anything else.
OTHER_FILES = 100
# Of answers that clients do not fetch, all together.
MOST_UNSENT_BYTES = 64 * 1024 * 1024
LOOK_EVERY_SECONDS = 0.5


class TooMuch(Exception):
    """A request has a longer head than it may, or too many wait on its connection."""


class Application(Protocol):
    """What answers.

    Attributes:
        most_requests: How many requests may be under way.
    """

    most_requests: int


class Connection(HttpToolsProtocol):
    """A client's connection.

    Attributes:
        idle: The connections of this process on which no request is being answered, and since when; oldest first.
    """

    idle: ClassVar[dict["Connection", float]] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Takes a connection; where there are too many, the one goes that has asked nothing for the longest time."""
        super().connection_made(transport)
        self._unread_bytes = 0
        self.idle[self] = self.loop.time()
        if len(self.connections) > _most_connections(cast(Application, self.app).most_requests):
            next(iter(self.idle)).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets it."""
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what has come, and ends a connection on which much comes that says nothing yet."""
        self._unread_bytes += len(data)
        super().data_received(data)
        if self._unread_bytes > LONGEST_HEAD_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_headers_complete(self) -> None:
        """Begins to answer a request.

        Raises:
            TooMuch: Its head is too long, or too many requests wait on this connection.
        """
        if len(self.headers) > MOST_HEADERS or len(self.pipeline) >= MOST_PIPELINED:
            raise TooMuch
        # Some of what is unread may be its body.
        if self._unread_bytes > LONGEST_HEAD_BYTES and _length(self.headers) + len(self.url) > LONGEST_HEAD_BYTES:
            raise TooMuch
        self._unread_bytes = 0
        self.idle.pop(self, None)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of a body."""
        self._unread_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Ends an answer."""
        super().on_response_complete()
        if self.cycle.response_complete:
            if self.cycle.body:
                # Nobody has read it, and it would be kept until the next request.
                self.cycle.body = bytearray()
            self.idle[self] = self.loop.time()

    def _refuse(self) -> None:
        self.logger.warning("a request has a head of more than %d bytes", LONGEST_HEAD_BYTES)
        self.send_400_response("Invalid HTTP request received.")


async def end_idle_connections() -> None:
    """Ends connections on which nothing is asked, and those whose answers are not fetched, until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        too_old = asyncio.get_running_loop().time() - KEEP_ALIVE_SECONDS
        for connection in [each for each, since in Connection.idle.items() if since < too_old]:
            connection.transport.abort()
        _end_unfetched(Connection.idle)


def _end_unfetched(connections: Iterable[Connection]) -> None:
    """Ends those whose answers wait longest to be fetched, as long as all take too much."""
    unsent = {each: size for each in connections if (size := each.transport.get_write_buffer_size())}
    total = sum(unsent.values())
    for connection, size in unsent.items():
        if total <= MOST_UNSENT_BYTES:
            return
        connection.transport.abort()
        total -= size


def _length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


@cache
def _most_connections(most_requests: int) -> int:
    most = most_requests + MOST_IDLE
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if files == resource.RLIM_INFINITY else min(most, max(files - OTHER_FILES, 1))

"""How the API reaches `raw_data`: asyncpg connections that come back by themselves after an outage."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import make_url

from modelyard.models.onnx.compiled import first_line
from modelyard.stores.database import address

STATEMENT_SECONDS = 5.0
APPLICATION = "modelyard api"

# What a database that is away, starting, full or not set up makes asyncpg raise.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
# What it raises because of the rows themselves: it will never take them.
REFUSALS = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


def connection_arguments(url: str) -> dict[str, Any]:
    """A SQLAlchemy URL as asyncpg takes it.

    Args:
        url: Such as `postgresql+psycopg2://api@/raw_data?host=/socket/folder`, or with host, port and password.
    """
    parsed = make_url(url)
    port = parsed.port or parsed.query.get("port")
    arguments = {
        "host": parsed.host or parsed.query.get("host"),
        "port": int(str(port)) if port else None,
        "user": parsed.username,
        "password": parsed.password,
        "database": parsed.database,
        "ssl": parsed.query.get("sslmode"),
    }
    return {name: value for name, value in arguments.items() if value is not None}


class Connection:
    """A connection for one user at a time, made when it is needed and thrown away when anything goes wrong on it.

    Unlike with a pool's, nobody waits for a statement to be cancelled on a server that does not answer.

    Args:
        url: The database's.
        timeout_seconds: How long one use may take, connecting included.

    Attributes:
        url: The same.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.url = url
        self._timeout_seconds = timeout_seconds
        self._connection: asyncpg.Connection | None = None

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection.

        Raises:
            TimeoutError: It took too long. Whether a statement was committed is not known then.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                if self._connection is None or self._connection.is_closed():
                    self._connection = await self._connect()
                yield self._connection
        except REFUSALS:
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            **connection_arguments(self.url), server_settings={"application_name": APPLICATION}
        )


class ConnectionPool:
    """Some connections for many users.

    Args:
        url: The database's.
        connections: How many there are.

    Attributes:
        url: The same.
    """

    def __init__(self, url: str, connections: int) -> None:
        self.url = url
        self._lines = [Connection(url, STATEMENT_SECONDS) for _ in range(connections)]
        self._free: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for line in self._lines:
            self._free.put_nowait(line)

    @asynccontextmanager
    async def use(self, seconds: float = STATEMENT_SECONDS) -> AsyncIterator[asyncpg.Connection]:
        """One of the connections.

        Args:
            seconds: How long it may take, waiting for a free one included: with a server that does not answer, users
                would otherwise wait for each other's time limits, one after the other.

        Raises:
            TimeoutError: It took longer.
        """
        async with asyncio.timeout(seconds):
            line = await self._free.get()
            try:
                async with line.use() as connection:
                    yield connection
            finally:
                self._free.put_nowait(line)

    def close(self) -> None:
        """Ends the connections at once."""
        for line in self._lines:
            line.close()


def unavailable(url: str, error: BaseException) -> str:
    """The sentence for a database that does not answer: names the server, never the password."""
    reason = "it took too long" if isinstance(error, TimeoutError) else first_line(error)
    return f"the {address(url)} does not answer as it should: {reason}"

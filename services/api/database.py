"""How the API reaches `raw_data`: asyncpg connections that come back by themselves after an outage."""

from typing import Any

import asyncpg
from sqlalchemy import make_url

from modelyard.models.compiled import first_line
from modelyard.stores.database import address

CONNECT_TIMEOUT_SECONDS = 5.0
STATEMENT_TIMEOUT_SECONDS = 5.0

# What a database that is away, starting, full or not set up makes asyncpg raise.
DATABASE_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)


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


def make_pool(url: str, connections: int) -> asyncpg.Pool:
    """A pool that connects when it is first used, so that the API starts without its database."""
    return asyncpg.create_pool(
        **connection_arguments(url),
        min_size=0,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=STATEMENT_TIMEOUT_SECONDS,
        reset=_leave_as_it_is,
        server_settings={"application_name": "modelyard api"},
    )


def unavailable(url: str, error: BaseException) -> str:
    """The sentence for a database that does not answer: names the server, never the password."""
    return f"the {address(url)} does not answer as it should: {first_line(error)}"


async def _leave_as_it_is(_: asyncpg.Connection) -> None:
    """Nothing here changes a session, so none needs the round trip that resets it."""

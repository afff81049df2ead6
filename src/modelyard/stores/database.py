"""How the two databases are reached: engines, the SQL files, and errors that name the server."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

import tenacity
from sqlalchemy import Connection, Engine, TextClause, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from modelyard.errors import ServiceUnavailable

CONNECT_ATTEMPTS = 4
CONNECT_TIMEOUT_SECONDS = 10


def make_engine(url: str) -> Engine:
    """An engine for a database URL; nothing is connected yet."""
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS})


@contextmanager
def opened_engine(url: str) -> Iterator[Engine]:
    """An engine whose connections are closed at the end."""
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def address(url: str) -> str:
    """What a message may show of a database URL: database and server, no password."""
    parsed = make_url(url)
    host = parsed.host or parsed.query.get("host") or "localhost"
    port = f":{parsed.port}" if parsed.port else ""
    return f"database {parsed.database} on {host}{port}"


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """A connection in a transaction: committed at the end, rolled back by an exception.

    A server that does not answer is tried again for some seconds.

    Raises:
        ServiceUnavailable: The server could not be reached, or was lost half-way. The message says which.
    """
    try:
        connection = _connect(engine)
        with connection, connection.begin():
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise unavailable(engine, error) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise unavailable(engine, error) from error
        raise


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(OperationalError),
    stop=tenacity.stop_after_attempt(CONNECT_ATTEMPTS),
    wait=tenacity.wait_exponential(multiplier=0.5),
    reraise=True,
)
def _connect(engine: Engine) -> Connection:
    return engine.connect()


def unavailable(engine: Engine, error: DBAPIError) -> ServiceUnavailable:
    """What is said when the server of an engine was lost; the message names it."""
    where = address(engine.url.render_as_string(hide_password=True))
    reason = str(error.orig).strip().splitlines()
    return ServiceUnavailable(f"{where} does not answer: {reason[0] if reason else 'connection lost'}")


@cache
def _read(name: str) -> str:
    return (files("modelyard.stores") / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def statement(name: str, **parts: str) -> TextClause:
    """The statement in `sql/<name>.sql`.

    Args:
        name: The file's name without its ending.
        parts: What its `{…}` stand for: identifiers that `quoted` made, or lists of such.
    """
    return text(_read(name).format(**parts) if parts else _read(name))


def quoted(connection: Connection, identifier: str) -> str:
    """An identifier as it stands in SQL, whatever characters it has."""
    return connection.dialect.identifier_preparer.quote_identifier(identifier)

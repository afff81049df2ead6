"""Real servers for the tests: one embedded Postgres and, only when asked for, one MLflow for the whole session.

A test that takes one of the engines, or `empty_postgres`, finds empty databases and leaves them so. The registry is
never emptied: names of experiments and models must be the test's own.
"""

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity
from psycopg2.errors import DeadlockDetected
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from modelyard.embedded.mlflow import embedded_mlflow
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.settings import let_waiting_threads_sleep
from modelyard.stores.database import opened_engine

let_waiting_threads_sleep()
# Whoever started us in the background may have had these ignored. What the tests start must take them.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A test that still holds a transaction open is told so, instead of making all others wait.
LOCK_TIMEOUT = "set local lock_timeout = '10s'"
TABLES = "select quote_ident(tablename) from pg_tables where schemaname = 'public' order by 1"
KEPT = "schema_migrations"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, whatever the order is: one that began last would keep all others waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """The state folder of the session, with a short path for the socket's sake."""
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        yield Path(folder).resolve()


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[Postgres]:
    """A migrated Postgres. Who writes into it takes `empty_postgres`, so that it is emptied afterwards."""
    with embedded_postgres(home) as running:
        yield running


@pytest.fixture(scope="session")
def tracking_uri(home: Path, postgres: Postgres) -> Iterator[str]:
    """The address of a real MLflow server; it takes some ten seconds to come up."""
    with embedded_mlflow(home, postgres) as uri:
        yield uri


@pytest.fixture(scope="session")
def platform_tables(postgres: Postgres) -> dict[str, list[str]]:
    """The tables that the migrations made, for each database: emptied after a test, where all others are dropped."""
    return {database: _tables(postgres, database) for database in ("raw_data", "clean_data")}


@pytest.fixture
def empty_postgres(postgres: Postgres, platform_tables: dict[str, list[str]]) -> Iterator[Postgres]:
    """The Postgres, whose data databases are after the test again as the migrations made them."""
    yield postgres
    for database, tables in platform_tables.items():
        _empty(postgres, database, tables)


@pytest.fixture
def raw_engine(empty_postgres: Postgres) -> Iterator[Engine]:
    """`raw_data`, for the role pipeline."""
    with opened_engine(empty_postgres.url("raw_data")) as engine:
        yield engine


@pytest.fixture
def clean_engine(empty_postgres: Postgres) -> Iterator[Engine]:
    """`clean_data`, for the role pipeline."""
    with opened_engine(empty_postgres.url("clean_data")) as engine:
        yield engine


@pytest.fixture
def admin_raw_engine(empty_postgres: Postgres) -> Iterator[Engine]:
    """`raw_data`, for the role that may do everything."""
    with opened_engine(empty_postgres.url("raw_data", role="postgres")) as engine:
        yield engine


def _tables(postgres: Postgres, database: str) -> list[str]:
    with opened_engine(postgres.url(database, role="postgres")) as engine, engine.connect() as connection:
        return list(connection.scalars(text(TABLES)))


def _met_a_heartbeat(error: BaseException) -> bool:
    return isinstance(error, OperationalError) and isinstance(error.orig, DeadlockDetected)


# An API that several tests share writes on, and takes the tables in another order.
@tenacity.retry(retry=tenacity.retry_if_exception(_met_a_heartbeat), stop=tenacity.stop_after_attempt(3), reraise=True)
def _empty(postgres: Postgres, database: str, platform_tables: list[str]) -> None:
    made = [table for table in _tables(postgres, database) if table not in platform_tables]
    emptied = [table for table in platform_tables if table != KEPT]
    with opened_engine(postgres.url(database, role="postgres")) as engine, engine.begin() as connection:
        connection.execute(text(LOCK_TIMEOUT))
        if made:
            connection.execute(text(f"drop table {', '.join(made)} cascade"))
        connection.execute(text(f"truncate {', '.join(emptied)} restart identity cascade"))

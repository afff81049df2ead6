"""Makes the databases, the roles and the platform's own tables; safe to run again, and by two at once."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ProgrammingError

from modelyard.errors import BadInput
from modelyard.stores.database import address, make_engine, quoted, statement, transaction

DATABASES = ("airflow", "mlflow", "raw_data", "clean_data")
# The databases with tables of ours, and the roles that may connect to each.
MIGRATED_DATABASES = {"raw_data": ("pipeline", "api", "explorer"), "clean_data": ("pipeline", "explorer")}
# Each owns the database of its own name.
SERVICE_ROLES = ("airflow", "mlflow")
DATA_ROLES = ("pipeline", "api", "explorer")
# Any fixed number: whoever migrates holds the advisory lock of that number.
MIGRATION_LOCK = 7_240_113


def database_url(server_url: str, database: str, role: str | None = None, password: str | None = None) -> str:
    """The URL of one database on a server, for a role.

    Args:
        server_url: URL of any database on that server.
        database: The database.
        role: Who connects; None: whoever `server_url` names.
        password: The role's password; None: none is sent.
    """
    url = make_url(server_url).set(database=database)
    if role is not None:
        url = url.set(username=role, password=password)
    return url.render_as_string(hide_password=False)


def migrate(admin_url: str, passwords: Mapping[str, str] | None = None) -> list[str]:
    """Brings a server to the state that this version of Modelyard needs.

    Args:
        admin_url: URL of a database of the server, for a role that may create databases and roles.
        passwords: Password of each role; a role without one gets none.

    Returns:
        The migrations that were run now, as `database/file`.

    Raises:
        ServiceUnavailable: The server does not answer.
    """
    admin = make_engine(admin_url)
    try:
        with _alone(admin) as connection:
            _make_roles(connection, passwords or {})
            _make_databases(connection)
            return [done for database in MIGRATED_DATABASES for done in _migrate_one(admin_url, database)]
    finally:
        admin.dispose()


def check_migrated(url: str, database: str) -> None:
    """Makes sure that a database of the user's has the tables that this version of Modelyard needs.

    Args:
        url: Of the database.
        database: Which of ours it stands for.

    Raises:
        BadInput: It has not; the message says what to do.
        ServiceUnavailable: The server does not answer.
    """
    engine = make_engine(url)
    try:
        with transaction(engine) as connection:
            known = set(connection.scalars(statement("schema_migrations")))
    except ProgrammingError:
        # It has no such table, or this role may not read it.
        known = set()
    finally:
        engine.dispose()
    missing = [file.name for file in _migrations(database) if file.name not in known]
    if missing:
        raise BadInput(
            f"{address(url)} lacks {len(missing)} migrations from {missing[0]} on: "
            "run `modelyard migrate` with ADMIN_DATABASE_URL"
        )


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    with transaction(engine) as keeper, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        keeper.execute(statement("wait_for_migration_lock"), {"key": MIGRATION_LOCK})
        yield connection


def _make_roles(connection: Connection, passwords: Mapping[str, str]) -> None:
    known = set(connection.scalars(statement("roles")))
    for role in (*SERVICE_ROLES, *DATA_ROLES):
        name = quoted(connection, role)
        if role not in known:
            connection.execute(statement("create_role", role=name))
        if role in passwords:
            connection.execute(statement("set_role_password", role=name), {"password": passwords[role]})


def _make_databases(connection: Connection) -> None:
    known = set(connection.scalars(statement("databases")))
    administrator = connection.scalar(statement("current_role"))
    for database in DATABASES:
        name = quoted(connection, database)
        if database not in known:
            owner = quoted(connection, database if database in SERVICE_ROLES else administrator)
            connection.execute(statement("create_database", database=name, owner=owner))
        connection.execute(statement("close_database", database=name))
    for database, roles in MIGRATED_DATABASES.items():
        names = ", ".join(quoted(connection, role) for role in roles)
        connection.execute(statement("open_database", database=quoted(connection, database), roles=names))


def _migrate_one(admin_url: str, database: str) -> list[str]:
    engine = make_engine(database_url(admin_url, database))
    try:
        with transaction(engine) as connection:
            connection.execute(statement("create_schema_migrations"))
            known = set(connection.scalars(statement("schema_migrations")))
            pending = [file for file in _migrations(database) if file.name not in known]
            for file in pending:
                # Without parameters, so that the driver takes no % for one.
                connection.exec_driver_sql(file.read_text("utf-8"), execution_options={"no_parameters": True})
                connection.execute(statement("add_schema_migration"), {"name": file.name})
        return [f"{database}/{file.name}" for file in pending]
    finally:
        engine.dispose()


def _migrations(database: str) -> list[Traversable]:
    folder = files("modelyard.stores") / "migrations" / database
    return sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)

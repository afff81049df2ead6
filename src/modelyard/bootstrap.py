"""The addresses of the databases and the tracking server: the configured ones, else those of the embedded servers."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol
from urllib.parse import urlsplit

from modelyard.settings import Settings
from modelyard.steps.stores import Platform, connected
from modelyard.stores.database import address


class Databases(Protocol):
    """An embedded Postgres, running or not."""

    def url(self, database: str, role: str = "pipeline") -> str:
        """The URL of one of its databases, for a role."""


def configured_databases(settings: Settings) -> dict[str, str]:
    """The URLs of the databases that settings name, by the databases' names."""
    named = {"raw_data": settings.raw_database_url, "clean_data": settings.clean_database_url}
    return {database: url for database, url in named.items() if url}


def database_url(settings: Settings, embedded: Databases, database: str, role: str = "pipeline") -> str:
    """The URL of a database: the configured one, with the role that it names, else the embedded one for a role."""
    return configured_databases(settings).get(database) or embedded.url(database, role)


def configured_servers(settings: Settings) -> tuple[str, ...]:
    """What the settings name of the user's own servers, each in a few words and without a password."""
    named = [
        f"{database.upper().removesuffix('_DATA')}_DATABASE_URL: {address(url)}"
        for database, url in configured_databases(settings).items()
    ]
    if settings.mlflow_tracking_uri:
        uri = urlsplit(settings.mlflow_tracking_uri)
        shown = uri._replace(netloc=uri.netloc.rpartition("@")[2]).geturl()
        named.append(f"MLFLOW_TRACKING_URI: {shown}")
    return tuple(named)


@contextmanager
def stores(settings: Settings, *, tracking: bool) -> Iterator[Platform]:
    """The stores; what no setting gives an address of is started, shared with whoever uses it, and stopped afterwards.

    Args:
        settings: Says the addresses.
        tracking: Whether the tracking server will be used. It takes much longer to start than the database.

    Raises:
        BadInput: An embedded server cannot run here.
        StepFailed: An embedded server does not start.
    """
    raw, clean, tracking_uri = settings.raw_database_url, settings.clean_database_url, settings.mlflow_tracking_uri
    with ExitStack() as stack:
        if not (raw and clean and (tracking_uri or not tracking)):
            # Only here: where servers are configured, the libraries of the embedded ones need not be installed.
            from modelyard.embedded.mlflow import embedded_mlflow
            from modelyard.embedded.postgres import embedded_postgres

            postgres = stack.enter_context(embedded_postgres(settings.home))
            raw, clean = (database_url(settings, postgres, name) for name in ("raw_data", "clean_data"))
            if tracking and not tracking_uri:
                tracking_uri = stack.enter_context(embedded_mlflow(settings.home, postgres))
        yield stack.enter_context(connected(settings, raw, clean, tracking_uri))

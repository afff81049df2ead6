"""How the platform of a home stands: what runs, what is in production, how many rows there are."""

from contextlib import ExitStack

import typer
from pydantic import Field
from rich.console import Console
from rich.table import Table
from sqlalchemy import make_url

from modelyard import bootstrap as services
from modelyard.catalog import read_catalog
from modelyard.contract import Frozen
from modelyard.embedded.mlflow import running_mlflow
from modelyard.embedded.postgres import Postgres, PostgresServer
from modelyard.errors import BadInput
from modelyard.native.lifecycle import services_now, show_logins
from modelyard.settings import Settings
from modelyard.steps.stores import Platform, in_loaded_profile
from modelyard.use_case import UseCase

DATABASES = ("raw_data", "clean_data")
ROLES = ("pipeline", "api", "explorer")


class ServiceStatus(Frozen):
    """A service of the platform.

    Attributes:
        name: Its name for people.
        url: Where it answers.
        login: How a person gets in; not part of what programs read.
        trouble: What keeps it from working; None: nothing.
    """

    name: str
    url: str
    login: str = Field(exclude=True, repr=False)
    trouble: str | None


class UseCaseStatus(Frozen):
    """How a use case stands.

    Attributes:
        name: Its name.
        in_production: The version in production, if there is one.
        rows: Rows raw, rejected, clean (of the newest snapshot) and predictions.
    """

    name: str
    in_production: int | None
    rows: dict[str, int]


class PlatformStatus(Frozen):
    """How the platform of a home stands.

    Attributes:
        home: The folder of its state.
        services: What runs; empty while it is down.
        use_cases: Each use case that has records.
        broken_use_cases: What is wrong with files that should declare one, each with its line.
    """

    home: str
    services: tuple[ServiceStatus, ...]
    use_cases: tuple[UseCaseStatus, ...]
    broken_use_cases: tuple[str, ...]


def database_url(settings: Settings, database: str, role: str) -> str:
    """The URL of a database, as psql, psycopg and SQLAlchemy take it.

    Args:
        settings: Says where it is.
        database: `raw_data` or `clean_data`.
        role: Who connects; a configured URL has its own.

    Raises:
        BadInput: There is no such database or role.
    """
    if database not in DATABASES or role not in ROLES:
        raise BadInput(f"there is no {database} for {role}: choose of {', '.join(DATABASES)} and {', '.join(ROLES)}")
    url = services.database_url(settings, Postgres(PostgresServer(settings.home).socket), database, role)
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Prints how the platform stands.

    Args:
        settings: Says which platform.
        as_json: For programs; else as tables.
    """
    found = platform_status(settings)
    if as_json:
        typer.echo(found.model_dump_json())
    else:
        _print(found)


def platform_status(settings: Settings) -> PlatformStatus:
    """How the platform stands. The embedded database is started for the asking if it does not run."""
    running = tuple(
        ServiceStatus(name=service.name, url=service.url, login=service.login, trouble=trouble)
        for service, trouble in services_now(settings)
    )
    catalog = read_catalog(settings.use_cases_path)
    return PlatformStatus(
        home=str(settings.home),
        services=running,
        use_cases=_use_cases(settings, catalog.use_cases),
        broken_use_cases=tuple(map(str, catalog.broken)),
    )


def _use_cases(settings: Settings, use_cases: dict[str, UseCase]) -> tuple[UseCaseStatus, ...]:
    nowhere = settings.raw_database_url is None and not PostgresServer(settings.home).exists()
    if nowhere:
        return ()
    with ExitStack() as stack:
        platform = stack.enter_context(services.stores(settings, tracking=False))
        versions = _in_production(settings, platform)
        names = sorted(use_cases)
        kept = {name: in_loaded_profile(use_cases[name], platform.results, None).data_name for name in names}
        rows = {
            name: platform.raw.counts(name, kept[name]) | {"clean": platform.clean.count(kept[name])} for name in names
        }
    return tuple(
        UseCaseStatus(name=name, in_production=versions.get(name), rows=rows[name])
        for name in names
        if any(rows[name].values())
    )


def _in_production(settings: Settings, platform: Platform) -> dict[str, int]:
    """From the registry where it answers, else from the gate's verdicts: MLflow is not started for a question."""
    if settings.mlflow_tracking_uri or running_mlflow(settings.home):
        with services.stores(settings, tracking=True) as asking:
            return asking.registry.in_production()
    return platform.verdicts.in_production()


def _print(found: PlatformStatus) -> None:
    console = Console(soft_wrap=True)
    shown = Table("service", "address", "health", title=f"Modelyard in {found.home}")
    for service in found.services:
        shown.add_row(service.name, service.url, service.trouble or "healthy")
    if not found.services:
        shown.add_row("nothing runs", "", "`make up-local` starts it")
    console.print(shown)
    show_logins({service.name: service.login for service in found.services})
    use_cases = Table("use case", "in production", "raw", "rejected", "clean", "predictions", title="Use cases")
    for use_case in found.use_cases:
        counts = [str(use_case.rows[name]) for name in ("raw", "rejected", "clean", "predictions")]
        version = "none" if use_case.in_production is None else f"version {use_case.in_production}"
        use_cases.add_row(use_case.name, version, *counts)
    if not found.use_cases:
        use_cases.add_row("none has records yet", "", "", "", "", "")
    console.print(use_cases)
    for problem in found.broken_use_cases:
        console.print(f"cannot be used: {problem}", markup=False)

"""Everything that makes the platform of one home: started together, watched, and stopped together."""

import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Literal, NamedTuple

import httpx
from pydantic import BaseModel

import modelyard
from modelyard.bootstrap import configured_databases, configured_servers, database_url
from modelyard.embedded.locks import lock_at_once, open_lock, run_folder
from modelyard.embedded.mlflow import embedded_mlflow
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.embedded.processes import ProcfileProcesses, free_ports
from modelyard.embedded.shared import shared
from modelyard.errors import BadInput, ServiceUnavailable, StepFailed
from modelyard.home import open_home
from modelyard.hosts import reachable_url
from modelyard.logins import check_secrets, keep_secret
from modelyard.native.airflow import (
    airflow_environment,
    airflow_trouble,
    configure_airflow,
    migrate_airflow,
)
from modelyard.native.progress import Progress
from modelyard.settings import UTF8_MODE, PlatformService, Settings, child_environment, settings_environment
from modelyard.stores.migrate import check_migrated

AIRFLOW_PROCESSES = ("airflow-api-server", "airflow-scheduler", "airflow-dag-processor")
DEMO_PROCESSES = (*AIRFLOW_PROCESSES, "api")
PLATFORM_PROCESSES = (*DEMO_PROCESSES, "jupyter", "frontend")

# The API that tasks talk to is made by its first request, in 5 seconds: not in those of the first task.
AIRFLOW_HEALTH = ("/execution/health", "/api/v2/monitor/health")

PURPOSES = {
    "Frontend": "forms for people",
    "Airflow": "when things run, and how they went",
    "MLflow": "every training, every version of a model",
    "JupyterLab": "exploring with the platform's own functions",
    "API": "predictions for programs, with their documentation",
}

# What a browser should open of a service, where that is not its first page. MLflow's is the one for language models.
PAGES = {"API": "/docs", "MLflow": "/#/experiments?workflowType=machine_learning"}
NOTEBOOKS = "/lab/tree/notebooks"

LOCK = "platform.lock"
# The folder in a home with a file for each of its logins.
SECRETS = "secrets"
HEALTHY_SECONDS = 240
HEALTH_REQUEST_SECONDS = 5
POLL_SECONDS = 0.25
# Who only looks whether the lock is held holds it for a moment.
LOCK_SECONDS = 1

Kind = Literal["platform", "demo"]


class Ports(BaseModel, frozen=True):
    """Where the services answer."""

    airflow: int
    mlflow: int
    api: int
    jupyter: int
    frontend: int

    @classmethod
    def configured(cls, settings: Settings) -> "Ports":
        """Those that the settings say."""
        return cls(
            airflow=settings.airflow_port,
            mlflow=settings.mlflow_port,
            api=settings.api_port,
            jupyter=settings.jupyter_port,
            frontend=settings.frontend_port,
        )

    @classmethod
    def free(cls) -> "Ports":
        """Any that nothing listens on."""
        return cls(**dict(zip(cls.model_fields, free_ports(len(cls.model_fields)), strict=True)))


class LockOwner(BaseModel, frozen=True):
    """The process that holds the services of a home.

    Attributes:
        kind: Whether they are there to stay, or for a demo.
        pid: The process.
        ports: Where the services answer.
        servers: Which servers of the user's it uses, each in a few words.
        healthy: Whether all of them have answered.
    """

    kind: Kind
    pid: int
    ports: Ports
    servers: tuple[str, ...] = ()
    healthy: bool = False


class Service(NamedTuple):
    """A service with an address of its own.

    Attributes:
        name: Its name for people.
        purpose: What it is for, in a few words.
        setting: What chooses its port.
        url: Where it answers.
        health_paths: What of it answers 200 when it can work; the last one says more about Airflow.
        login: How a person gets in: user and password, or a link; empty: without.
        log: Where it writes what it does.
    """

    name: str
    purpose: str
    setting: str
    url: str
    health_paths: tuple[str, ...]
    login: str
    log: Path

    @property
    def page(self) -> str:
        """What a browser opens."""
        return f"{self.url}{PAGES.get(self.name, '')}"

    @property
    def port(self) -> int:
        """Where it answers."""
        return httpx.URL(self.url).port or 0

    def trouble(self) -> str | None:
        """What keeps it from working, in a few words; None: nothing."""
        try:
            with httpx.Client(base_url=self.url, timeout=HEALTH_REQUEST_SECONDS, trust_env=False) as client:
                answers = [client.get(path) for path in self.health_paths]
        except httpx.HTTPError:
            return "does not answer"
        failed = next((answer for answer in answers if not answer.is_success), None)
        if failed:
            return f"answers {failed.status_code}"
        return airflow_trouble(answers[-1].json()) if self.name == "Airflow" else None


class LocalPlatform(NamedTuple):
    """A platform of ours that runs.

    Attributes:
        postgres: Holds the databases.
        ports: Where the services answer.
        processes: All but Postgres and MLflow.
    """

    postgres: Postgres
    ports: Ports
    processes: ProcfileProcesses


def services_of(settings: Settings, ports: Ports, processes: Sequence[str] = PLATFORM_PROCESSES) -> list[Service]:
    """The services that people and programs talk to.

    Args:
        settings: Address and home, with logins where they are to be shown.
        ports: Where they answer.
        processes: Which processes of the Procfile run.
    """
    host = reachable_url(settings.bind_address)
    airflow_login = f"{settings.airflow_user} / {settings.airflow_password}"
    jupyter_login = f"{host}:{ports.jupyter}{NOTEBOOKS}?token={settings.jupyter_token}"
    known = (
        ("frontend", "Frontend", f"{host}:{ports.frontend}", ("/_stcore/health",), ""),
        ("airflow-api-server", "Airflow", f"{host}:{ports.airflow}", AIRFLOW_HEALTH, airflow_login),
        ("mlflow", "MLflow", tracking_uri(settings, ports), ("/health",), ""),
        ("jupyter", "JupyterLab", f"{host}:{ports.jupyter}", ("/api",), jupyter_login),
        ("api", "API", f"{host}:{ports.api}", ("/live",), ""),
    )
    return [
        Service(
            name=name,
            purpose=PURPOSES[name],
            setting="API_PORT" if name == "API" else f"{name.removesuffix('Lab').upper()}_PORT",
            url=url,
            health_paths=paths,
            login=login,
            log=settings.home / "logs" / f"{process}.log",
        )
        for process, name, url, paths, login in known
        if process in (*processes, "mlflow")
    ]


def tracking_uri(settings: Settings, ports: Ports) -> str:
    """Where the tracking server is: the configured one, else the embedded one on its port."""
    return (settings.mlflow_tracking_uri or f"http://127.0.0.1:{ports.mlflow}").rstrip("/")


def with_logins(settings: Settings) -> Settings:
    """The settings with the logins of their home where none are given: made at its first start, and kept.

    Raises:
        BadInput: A login that was given is known to everybody.
    """
    given = {"airflow_password": settings.airflow_password, "jupyter_token": settings.jupyter_token}
    check_secrets(settings.bind_address, given, {})
    folder = open_home(settings.home) / SECRETS
    return settings.model_copy(update={name: keep_secret(folder, name, secret) for name, secret in given.items()})


def repository() -> Path:
    """The checkout that this package runs from: it has the DAG files, the Procfile and the API.

    Raises:
        BadInput: The package was installed without it.
    """
    folder = Path(modelyard.__file__).resolve().parents[2]
    if not (folder / "Procfile").is_file():
        raise BadInput(f"the platform runs from a checkout of Modelyard, and {folder} is none")
    return folder


def holder_of(home: Path) -> LockOwner | None:
    """Who holds the services of a home now, if anybody does."""
    with open_lock(home, LOCK) as lock:
        if lock_at_once(lock, fcntl.LOCK_SH):
            return None
    try:
        return LockOwner.model_validate_json(_facts_file(home).read_text(encoding="utf-8"))
    except FileNotFoundError:  # it came, or went, at this moment
        return None


def check_same_servers(settings: Settings, holder: LockOwner) -> None:
    """Makes sure that a platform that runs uses the servers that this process's settings name.

    Raises:
        BadInput: It uses others; the message says which.
    """
    ours = configured_servers(settings)
    if holder.servers != ours:
        theirs, own = (", ".join(servers) or "the embedded servers alone" for servers in (holder.servers, ours))
        raise BadInput(
            f"the platform of {settings.home} uses {theirs}, and the settings here say {own}: "
            "set the same, or stop it with `make down-local` first"
        )


@contextmanager
def local_platform(
    settings: Settings, kind: Kind, ports: Ports, processes: Sequence[str], progress: Progress
) -> Iterator[LocalPlatform]:
    """Starts the services of a home, all at the same time, and stops them at the end.

    Args:
        settings: Home, addresses and logins (`with_logins`); the processes get the same.
        kind: Whether they are there to stay, or for a demo.
        ports: Where the services answer.
        processes: Which processes of the Procfile run.
        progress: Is told when something answers.

    Raises:
        BadInput: Another platform or demo of this home runs, a port is in use, or a server of the user's lacks what
            `modelyard migrate` makes.
        ServiceUnavailable: A server of the user's does not answer.
        StepFailed: Something does not start; the message names it and its log.
    """
    home = settings.home
    holder = LockOwner(kind=kind, pid=os.getpid(), ports=ports, servers=configured_servers(settings))
    with ExitStack() as stack:
        stack.enter_context(_held(home, holder))
        _check_configured_servers(settings, ports, progress)
        postgres = stack.enter_context(embedded_postgres(home))
        progress.say(_what_postgres_is_for(settings))
        # Its place is before the processes, though another thread enters it later: they need it to their end.
        tracking = stack.enter_context(ExitStack())
        with ThreadPoolExecutor(1) as pool:
            server = _tracking_server(settings, postgres, ports)
            mlflow = pool.submit(tracking.enter_context, server)
            honcho = stack.enter_context(_processes(settings, ports, processes, postgres, progress))
            _wait_until_healthy(services_of(settings, ports, processes), honcho, mlflow, progress)
        _write_facts(home, holder.model_copy(update={"healthy": True}))
        yield LocalPlatform(postgres, ports, honcho)


def _check_configured_servers(settings: Settings, ports: Ports, progress: Progress) -> None:
    """Makes sure that the user's own servers can be used, before anything is started."""
    for database, url in configured_databases(settings).items():
        check_migrated(url, database)
    if settings.mlflow_tracking_uri:
        [mlflow] = [service for service in services_of(settings, ports) if service.name == "MLflow"]
        if trouble := mlflow.trouble():
            raise ServiceUnavailable(f"MLflow on {mlflow.url} (MLFLOW_TRACKING_URI) {trouble}")
    for server in configured_servers(settings):
        progress.say(f"uses {server}")


def _what_postgres_is_for(settings: Settings) -> str:
    databases = [name for name in ("raw_data", "clean_data") if name not in configured_databases(settings)]
    databases += ["airflow"] if settings.mlflow_tracking_uri else ["airflow", "mlflow"]
    return f"Postgres answers, with {', '.join(databases)}"


def _tracking_server(settings: Settings, postgres: Postgres, ports: Ports) -> AbstractContextManager[str]:
    if settings.mlflow_tracking_uri:
        return nullcontext(settings.mlflow_tracking_uri)
    return embedded_mlflow(settings.home, postgres, ports.mlflow, settings.host_names)


@contextmanager
def _processes(
    settings: Settings, ports: Ports, names: Sequence[str], postgres: Postgres, progress: Progress
) -> Iterator[ProcfileProcesses]:
    environment = _environment(settings, postgres, ports, names)
    configure_airflow(settings, postgres, ports.airflow, repository())
    if migrate_airflow(settings.home, postgres, environment):
        progress.say("Airflow's database is migrated")
    honcho = ProcfileProcesses(settings.home, repository(), names, environment)
    with shared(honcho, settings.home):
        yield honcho


def _environment(settings: Settings, postgres: Postgres, ports: Ports, names: Sequence[str]) -> dict[str, str]:
    """The environment of the processes: these settings, and where they find each other."""
    inherited = child_environment({})
    jupyter = settings.home / "jupyter"
    # Airflow has its password in a file of its own; JupyterLab reads the one that is named here.
    common = settings.model_copy(update={"airflow_password": None, "jupyter_token": None})
    changes = {
        **settings_environment(common),
        "AIRFLOW_PASSWORD": "",
        "JUPYTER_TOKEN": "",
        "JUPYTER_TOKEN_FILE": str(settings.home / SECRETS / "jupyter_token"),
        "RAW_DATABASE_URL": database_url(settings, postgres, "raw_data"),
        "CLEAN_DATABASE_URL": database_url(settings, postgres, "clean_data"),
        "API_RAW_DATABASE_URL": database_url(settings, postgres, "raw_data", role="api"),
        "EXPLORER_RAW_DATABASE_URL": database_url(settings, postgres, "raw_data", role="explorer"),
        "EXPLORER_CLEAN_DATABASE_URL": database_url(settings, postgres, "clean_data", role="explorer"),
        "MLFLOW_TRACKING_URI": tracking_uri(settings, ports),
        "API_URL": f"{reachable_url(settings.bind_address)}:{ports.api}",
        "PLATFORM_SERVICES": overview(services_of(settings, ports, names)),
        **{f"{name.upper()}_PORT": str(port) for name, port in ports},
        "MODELYARD_REPOSITORY": str(repository()),
        "PYTHONPATH": str(repository()),
        # Of the services, not all speak other encodings.
        UTF8_MODE: "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        "JUPYTER_CONFIG_DIR": str(jupyter),
        "JUPYTER_DATA_DIR": str(jupyter / "data"),
        "IPYTHONDIR": str(jupyter / "ipython"),
    }
    return airflow_environment(settings.home, changes)


def overview(services: Sequence[Service]) -> str:
    """The services as the API shows them to the frontend, which need not be told of itself."""
    shown = {
        service.name: PlatformService(
            health=f"{service.url}{service.health_paths[-1]}",
            link=service.page,
            purpose=service.purpose,
        ).model_dump()
        for service in services
        if service.name != "Frontend"
    }
    return json.dumps(shown)


def _wait_until_healthy(
    services: list[Service], honcho: ProcfileProcesses, mlflow: Future[str], progress: Progress
) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    waiting = services
    while waiting:
        honcho.check()
        if mlflow.done():
            mlflow.result()
        troubles = {service: service.trouble() for service in waiting}
        for service in (service for service in waiting if troubles[service] is None):
            progress.say(f"{service.name} answers on {service.url}")
        waiting = [service for service in waiting if troubles[service]]
        if waiting and time.monotonic() > deadline:
            service = waiting[0]
            raise StepFailed(f"{service.name} on {service.url} {troubles[service]} (log: {service.log})")
        time.sleep(POLL_SECONDS)


@contextmanager
def _held(home: Path, holder: LockOwner) -> Iterator[None]:
    """Holds a home: its services run once."""
    with open_lock(home, LOCK) as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while not lock_at_once(lock):
            if time.monotonic() > deadline:
                raise BadInput(_held_by_another(home))
            time.sleep(POLL_SECONDS)
        _write_facts(home, holder)
        try:
            yield
        finally:
            _facts_file(home).unlink(missing_ok=True)


def _held_by_another(home: Path) -> str:
    other = holder_of(home)
    who = f"a {other.kind} (process {other.pid})" if other else "another one"
    return f"{who} runs in {home} already: wait until it is done, or choose another MODELYARD_HOME"


def _facts_file(home: Path) -> Path:
    return run_folder(home) / "platform.json"


def _write_facts(home: Path, holder: LockOwner) -> None:
    file = _facts_file(home)
    new = file.with_suffix(".new")
    new.write_text(holder.model_dump_json(), encoding="utf-8")
    new.replace(file)

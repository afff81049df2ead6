"""Airflow in a home: its configuration, its database's tables, and what we ask its REST API."""

import base64
import contextlib
import importlib.metadata
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from configparser import ConfigParser
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx

from modelyard.embedded.postgres import Postgres
from modelyard.errors import ServiceUnavailable, StepFailed
from modelyard.home import write_private
from modelyard.hosts import reachable_url
from modelyard.settings import Settings, child_environment
from modelyard.stores.database import make_engine, statement, transaction

# Each takes about 50 MB; two cores keep no more of them busy.
PARALLEL_TASKS = 4
# How long the scheduler sleeps when idle. Half of it is lost before each task; a shorter sleep costs processor time.
IDLE_SECONDS = 0.5
# A new or changed file is seen after so many seconds.
REFRESH_SECONDS = 30
# A token that expires while a long task runs has ended tasks; this one outlives them.
TASK_TOKEN_SECONDS = 24 * 60 * 60
FERNET_KEY_BYTES = 32
REQUEST_TIMEOUT_SECONDS = 30

Json = dict[str, Any]
Configuration = Mapping[str, Mapping[str, str]]


def airflow_home(home: Path) -> Path:
    """Where Airflow keeps its configuration and logs: AIRFLOW_HOME, also for its own command line."""
    return home / "airflow"


def airflow_environment(home: Path, changes: Mapping[str, str]) -> dict[str, str]:
    """The environment for an Airflow process: it says where the configuration is, and nothing else about Airflow.

    Settings of another Airflow that this shell may have would win over the file: they are left out.
    """
    environment = child_environment({**changes, "AIRFLOW_HOME": str(airflow_home(home))})
    return {name: value for name, value in environment.items() if not name.startswith(("AIRFLOW__", "_AIRFLOW__"))}


def configure_airflow(settings: Settings, postgres: Postgres, port: int, repository: Path) -> None:
    """Writes Airflow's configuration and its user's password into the home, readable by nobody else.

    Args:
        settings: Home, address, user and password.
        postgres: Holds Airflow's database.
        port: Of its API server.
        repository: Has the folders of DAG files and of plugins.
    """
    folder = airflow_home(settings.home)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "airflow.cfg"
    known = ConfigParser(interpolation=None)
    known.read(file, encoding="utf-8")
    written = ConfigParser(interpolation=None)
    for section, values in _configuration(settings, postgres, port, repository, _keys(known)).items():
        # Airflow interpolates.
        written[section] = {name: value.replace("%", "%%") for name, value in values.items()}
    text = StringIO()
    written.write(text)
    write_private(file, text.getvalue())
    write_private(_passwords(settings), json.dumps({settings.airflow_user: settings.airflow_password}))


def _configuration(
    settings: Settings, postgres: Postgres, port: int, repository: Path, keys: Mapping[tuple[str, str], str]
) -> Configuration:
    address = reachable_url(settings.bind_address)
    sections: dict[str, dict[str, str]] = {
        "core": {
            "executor": "LocalExecutor",
            "parallelism": str(PARALLEL_TASKS),
            "dags_folder": str(repository / "dags"),
            "plugins_folder": str(repository / "plugins"),
            "load_examples": "False",
            "execution_api_server_url": f"{address}:{port}/execution/",
            "simple_auth_manager_users": f"{settings.airflow_user}:admin",
            "simple_auth_manager_passwords_file": str(_passwords(settings)),
        },
        # Airflow gives its logs a mode of its own, whatever the umask is.
        "logging": {
            "file_task_handler_new_folder_permissions": "0o700",
            "file_task_handler_new_file_permissions": "0o600",
        },
        "database": {"sql_alchemy_conn": postgres.url("airflow", role="airflow")},
        "api": {
            "host": settings.bind_address,
            "port": str(port),
            "base_url": f"{address}:{port}",
            "workers": "1",
        },
        "api_auth": {},
        "execution_api": {"jwt_expiration_time": str(TASK_TOKEN_SECONDS)},
        "dag_processor": {
            "refresh_interval": str(REFRESH_SECONDS),
            "min_file_process_interval": str(REFRESH_SECONDS),
        },
        "scheduler": {"scheduler_idle_sleep_time": str(IDLE_SECONDS)},
        "usage_data_collection": {"enabled": "False"},
    }
    for (section, name), key in keys.items():
        sections[section][name] = key
    return sections


def _keys(known: ConfigParser) -> dict[tuple[str, str], str]:
    """The keys that all processes share, made once for a home: what was encrypted stays readable."""
    return {
        (section, name): known.get(section, name, fallback="") or new
        for section, name, new in (
            ("core", "fernet_key", base64.urlsafe_b64encode(os.urandom(FERNET_KEY_BYTES)).decode()),
            ("api_auth", "jwt_secret", secrets.token_hex()),
            ("api", "secret_key", secrets.token_hex()),
        )
    }


def _passwords(settings: Settings) -> Path:
    return airflow_home(settings.home) / "passwords.json"


def migrate_airflow(home: Path, postgres: Postgres, environment: Mapping[str, str]) -> bool:
    """Brings Airflow's database to the state that the installed Airflow needs.

    It takes 7 seconds even when there is nothing to do. So the home remembers which version did it for which database.

    Returns:
        Whether there was anything to do.

    Raises:
        StepFailed: It cannot be done; the message names the log.
    """
    stamp = airflow_home(home) / "migrated"
    wanted = f"{importlib.metadata.version('apache-airflow')} {_identity(postgres)}"
    with contextlib.suppress(FileNotFoundError):
        if stamp.read_text(encoding="utf-8") == wanted:
            return False
    log = home / "logs" / "airflow-migrate.log"
    with log.open("w") as output:
        command = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
        done = subprocess.run(
            command, check=False, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode:
        raise StepFailed(f"Airflow's database cannot be migrated (log: {log})")
    stamp.write_text(wanted, encoding="utf-8")
    return True


def _identity(postgres: Postgres) -> str:
    engine = make_engine(postgres.url("airflow", role="airflow"))
    try:
        with transaction(engine) as connection:
            return str(connection.scalar(statement("database_identity")))
    finally:
        engine.dispose()


class DagRun(NamedTuple):
    """A run of a DAG."""

    dag_id: str
    run_id: str

    @property
    def path(self) -> str:
        """Where the REST API has it."""
        return f"{_dag_path(self.dag_id)}/dagRuns/{quote(self.run_id, safe='')}"


class TaskState(NamedTuple):
    """How a task of a run stands.

    Attributes:
        task_id: The task.
        state: As Airflow names it; "" while nothing was decided.
        attempt: Which attempt it is, from 1.
        attempts: How many there may be.
        seconds: How long the attempt took, once it is over.
    """

    task_id: str
    state: str
    attempt: int
    attempts: int
    seconds: float | None

    @classmethod
    def of(cls, answer: Json) -> "TaskState":
        """As the REST API says it."""
        return cls(
            task_id=answer["task_id"],
            state=answer["state"] or "",
            attempt=answer["try_number"],
            attempts=answer["max_tries"] + 1,
            seconds=answer["duration"],
        )


class Failure(NamedTuple):
    """Why an attempt of a task failed.

    Attributes:
        kind: The exception's class.
        reason: Its message.
    """

    kind: str
    reason: str


def _dag_path(dag_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id, safe='')}"


class AirflowClient:
    """Airflow's REST API, as far as we need it."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Connects to nothing yet.

        Args:
            url: Of the API server.
            user: Who asks.
            password: His password.
        """
        self.url = url
        self._login = {"username": user, "password": password}
        # A proxy is of no use on the way to this machine.
        self._http = httpx.Client(base_url=url, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def is_parsed_since(self, dag_id: str, moment: str) -> bool:
        """Whether Airflow has read the DAG's file since then.

        Args:
            dag_id: The DAG.
            moment: A time in UTC, in ISO format.
        """
        dags = self._get("/api/v2/dags", dag_id_pattern=dag_id, exclude_stale=True)["dags"]
        return any(dag["dag_id"] == dag_id and (dag["last_parsed_time"] or "") >= moment for dag in dags)

    def import_errors(self) -> list[str]:
        """What is wrong with DAG files: the last line of each error."""
        errors = self._get("/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors]

    def is_paused(self, dag_id: str) -> bool:
        """Whether runs of the DAG wait."""
        return bool(self._get(_dag_path(dag_id))["is_paused"])

    def pause(self, dag_id: str, paused: bool) -> None:
        """Lets runs of the DAG wait, or go on."""
        self._request("PATCH", _dag_path(dag_id), json={"is_paused": paused}, params={"update_mask": "is_paused"})

    def trigger(self, dag_id: str, conf: Json) -> DagRun:
        """Starts a run with these parameters."""
        answer = self._request("POST", f"{_dag_path(dag_id)}/dagRuns", json={"logical_date": None, "conf": conf})
        return DagRun(dag_id, answer["dag_run_id"])

    def state(self, run: DagRun) -> str:
        """How a run stands: queued, running, success or failed."""
        return str(self._get(run.path)["state"])

    def is_busy(self, dag_id: str) -> bool:
        """Whether a run of the DAG is under way: the next one is only made after it."""
        return bool(self._get(f"{_dag_path(dag_id)}/dagRuns", state=["queued", "running"], limit=1)["dag_runs"])

    def tasks(self, run: DagRun) -> list[TaskState]:
        """How the tasks of a run stand."""
        return [TaskState.of(task) for task in self._get(f"{run.path}/taskInstances")["task_instances"]]

    def started_by(self, run: DagRun, dag_id: str) -> DagRun | None:
        """The run of another DAG that was started by the assets which this run updated; None: there is none yet."""
        since = self._get(run.path)["run_after"]
        # One that is queued is left out: Airflow 3.3 answers 500 when it is to list events of a run without a start.
        states = ["running", "success", "failed"]
        for later in self._get(f"{_dag_path(dag_id)}/dagRuns", state=states, run_after_gte=since)["dag_runs"]:
            found = DagRun(dag_id, later["dag_run_id"])
            events = self._get(f"{found.path}/upstreamAssetEvents")["asset_events"]
            if run in (DagRun(event["source_dag_id"], event["source_run_id"]) for event in events):
                return found
        return None

    def failure(self, run: DagRun, task: TaskState) -> Failure:
        """Why an attempt of a task failed: the last exception in its log."""
        lines = self._get(f"{run.path}/taskInstances/{task.task_id}/logs/{task.attempt}", full_content=True)["content"]
        errors = [error for line in lines for error in line.get("error_detail") or ()]
        if not errors:
            return Failure("", f"the log of {task.task_id} in Airflow says no reason")
        return Failure(errors[-1]["exc_type"], errors[-1]["exc_value"])

    def _get(self, path: str, **parameters: Any) -> Json:
        return self._request("GET", path, params=parameters)

    def _request(self, method: str, path: str, **more: Any) -> Json:
        try:
            if "Authorization" not in self._http.headers:
                token = self._http.post("/auth/token", json=self._login).raise_for_status().json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
            response = self._http.request(method, path, **more)
        except httpx.HTTPStatusError as error:
            raise ServiceUnavailable(f"Airflow on {self.url} refuses the login: {error.response.text}") from error
        except httpx.HTTPError as error:
            raise ServiceUnavailable(f"Airflow on {self.url} does not answer: {error}") from error
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            raise ServiceUnavailable(f"Airflow on {self.url} answers {response.status_code} to {path}: {response.text}")
        answer: Json = response.json()
        return answer


def airflow_trouble(health: Json) -> str | None:
    """What keeps Airflow from working, from the answer of its health route; None: nothing."""
    needed = ("metadatabase", "scheduler", "dag_processor")
    trouble = [name for name in needed if health.get(name, {}).get("status") != "healthy"]
    return f"{', '.join(trouble)} not ready" if trouble else None

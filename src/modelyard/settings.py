"""Every setting, typed, read once. The only place that reads the environment.

A setting is taken from the environment, else from `secrets.env`, else from `config.env` in the working folder, else
from the secrets of a container, else from the default here. `config.env` documents them all.
"""

import json
import locale
import logging
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from modelyard.errors import BadInput
from modelyard.hosts import split_names

Port = int
# What a step reads of the settings.
STEP_SETTINGS = {
    "use_cases_path",
    "default_use_case",
    "data_url",
    "accepted_files_url",
    "objects_url",
    "pretrained_weights",
    "sources_allowed",
    "sources_limit_mb",
    "aws_endpoint_url",
    "aws_default_region",
    "aws_access_key_id",
    "aws_secret_access_key",
    "raw_database_url",
    "clean_database_url",
    "mlflow_tracking_uri",
    "allowed_bad_share",
    "deploy_timeout_seconds",
    "keep_versions",
    "keep_snapshots",
    "keep_prediction_months",
    "model_limit_mb",
    "api_heartbeat_fresh_seconds",
}
BARE_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
MEGABYTE = 2**20
UTF8_MODE = "PYTHONUTF8"
# What libpq reads (PostgreSQL documentation, "Environment Variables"), and other things of PostgreSQL's.
POSTGRES_VARIABLE = re.compile("PG[A-Z]+|PGCONNECT_TIMEOUT")
LOGGER = logging.getLogger(__name__)


class PlatformService(BaseModel):
    """A service of the platform, as the overview shows it.

    Attributes:
        health: What of it answers 200 when it works, as the API reaches it.
        link: Where a browser finds it; None: it has no page.
        purpose: What it is for, in a few words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    health: str
    link: str | None = None
    purpose: str = ""


def _use_cases_here() -> Path | None:
    folder = Path("use_cases")
    return folder.resolve() if folder.is_dir() else None


def _read_json(value: object) -> object:
    return from_json(value) if isinstance(value, str) else value


def listed(text: str) -> list[str]:
    """The parts of a setting that are separated by commas."""
    return [each for part in text.split(",") if (each := part.strip())]


def _check_hashes(text: str) -> str:
    # A key as it is would lock everybody out, and a comma alone would let everybody in.
    if text and not all(re.fullmatch("[0-9a-fA-F]{64}", each.strip()) for each in text.split(",")):
        raise ValueError("must be SHA-256 hashes of 64 hexadecimal digits, separated by commas")
    return text


def _check_sources(text: str) -> str:
    if not all(re.fullmatch(r"/.*|s3://.*|https?://[^@]*", each) for each in listed(text)):
        raise ValueError(
            "must be absolute paths or URLs that begin with s3://, https:// or http://, separated by commas"
        )
    return text


def _check_names(text: str) -> str:
    split_names(text)
    return text


# Where a container finds the secrets that were made for it, each in a file of the setting's name.
SECRETS_FOLDER = Path("/run/secrets/modelyard")
# pydantic warns of a folder that is not there.
SECRETS_FOLDERS = [SECRETS_FOLDER] if SECRETS_FOLDER.is_dir() else []
CONTAINER = SettingsConfigDict(
    env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, secrets_dir=SECRETS_FOLDERS
)

# Written as JSON. What cannot be read is this setting's problem, as any other impossible value.
PlatformServices = Annotated[dict[str, PlatformService], NoDecode, BeforeValidator(_read_json)]


class Settings(BaseSettings):
    """What can be chosen without touching the code. `config.env` says what each is for."""

    model_config = SettingsConfigDict(
        env_file=("config.env", "secrets.env"),
        env_file_encoding="utf-8",
        secrets_dir=SECRETS_FOLDERS,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    modelyard_home: Path = Path(".modelyard")
    use_cases_path: Path | None = Field(default_factory=_use_cases_here)
    default_use_case: str = "loan_approval"
    data_url: str = "data"
    accepted_files_url: str | None = None
    objects_url: str | None = None
    pretrained_weights: str | None = None
    sources_allowed: Annotated[str, AfterValidator(_check_sources)] = "https://"
    sources_limit_mb: int = Field(default=10 * 1024, gt=0)

    aws_endpoint_url: str | None = None
    aws_default_region: str | None = None
    aws_access_key_id: str | None = None
    aws_secret_access_key: str | None = Field(default=None, repr=False)

    raw_database_url: str | None = Field(default=None, repr=False)
    clean_database_url: str | None = Field(default=None, repr=False)
    mlflow_tracking_uri: str | None = Field(default=None, repr=False)

    step_runner: Literal["process", "docker"] = "process"
    step_image: str | None = None
    step_network: str | None = None
    step_use_cases_volume: str | None = None
    step_engine_url: str | None = None
    schedules_enabled: bool = True
    allowed_bad_share: float = Field(default=0.05, ge=0, le=1)
    deploy_timeout_seconds: float = Field(default=120, gt=0)
    keep_versions: int = Field(default=10, ge=2)
    keep_snapshots: int = Field(default=5, ge=1)
    keep_prediction_months: int = Field(default=24, ge=1)
    model_limit_mb: int = Field(default=1024, gt=0)

    api_poll_seconds: float = Field(default=2, gt=0)
    api_heartbeat_seconds: float = Field(default=2, gt=0)
    api_heartbeat_fresh_seconds: float = Field(default=15, gt=0)
    api_body_limit_bytes: int = Field(default=1024 * 1024, gt=0)
    api_picture_limit_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    api_batch_limit: int = Field(default=10_000, gt=0)
    api_batch_body_limit_bytes: int = Field(default=32 * 1024 * 1024, gt=0)
    api_concurrency_limit: int = Field(default=1000, gt=0)
    api_request_seconds: float = Field(default=30, gt=0)
    api_commit_seconds: float = Field(default=2, gt=0)
    api_idempotency_seconds: float = Field(default=24 * 3600, gt=0)
    api_spool_folder: Path | None = None
    api_spool_limit_mb: int = Field(default=1024, gt=0)
    api_shadow: bool = True
    api_workers: int = Field(default=1, ge=1)
    api_log_format: Literal["text", "json"] = "text"
    api_log_requests: bool = False
    api_log_rejected: bool = False
    api_keys: Annotated[str, AfterValidator(_check_hashes)] = Field(default="", repr=False)

    api_url: str | None = None
    api_key: str | None = Field(default=None, repr=False)
    platform_services: PlatformServices = {}
    more_services: PlatformServices = {}

    bind_address: str = "127.0.0.1"
    allowed_hosts: Annotated[str, AfterValidator(_check_names)] = ""
    airflow_port: Port = Field(default=8080, ge=1, le=65535)
    mlflow_port: Port = Field(default=8083, ge=1, le=65535)
    jupyter_port: Port = Field(default=8085, ge=1, le=65535)
    api_port: Port = Field(default=8086, ge=1, le=65535)
    frontend_port: Port = Field(default=8501, ge=1, le=65535)

    airflow_user: str = "airflow"
    airflow_password: str | None = Field(default=None, repr=False)
    jupyter_token: str | None = Field(default=None, repr=False)

    def body_limit(self, *, files: bool) -> int:
        """How many bytes the body of a request may have, by whether it may be a file."""
        return self.api_picture_limit_bytes if files else self.api_body_limit_bytes

    @property
    def host_names(self) -> list[str]:
        """The names by which the services may be reached, beside localhost, in lower case."""
        return [*split_names(self.allowed_hosts), self.bind_address.lower()]

    @property
    def longest_body(self) -> int:
        """How many bytes the body of any request may have."""
        return max(self.api_body_limit_bytes, self.api_picture_limit_bytes, self.api_batch_body_limit_bytes)

    @property
    def model_limit_bytes(self) -> int:
        """How large the files of a model may be together."""
        return self.model_limit_mb * MEGABYTE

    @property
    def spool_folder(self) -> Path:
        """Where the API keeps rows that the database does not take."""
        return (self.api_spool_folder or self.home / "spool").expanduser().resolve()

    @property
    def home(self) -> Path:
        """The folder of all local state, absolute."""
        return self.modelyard_home.expanduser().resolve()


def read_settings(**overrides: object) -> Settings:
    """The settings of this process.

    Args:
        overrides: Settings that are taken as given, whatever the environment says.

    Raises:
        BadInput: A setting has an impossible value; the message names it.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        raise BadInput(f"the settings cannot be used: {problems}") from error


class Logins(BaseSettings):
    """The secrets of the platform in containers that open a published port. Those that are not given are made."""

    model_config = CONTAINER

    minio_root_password: str | None = Field(default=None, repr=False)
    mlflow_s3_secret_key: str | None = Field(default=None, repr=False)
    data_s3_secret_key: str | None = Field(default=None, repr=False)
    airflow_password: str | None = Field(default=None, repr=False)
    airflow_fernet_key: str | None = Field(default=None, repr=False)
    airflow_jwt_secret: str | None = Field(default=None, repr=False)
    airflow_secret_key: str | None = Field(default=None, repr=False)
    jupyter_token: str | None = Field(default=None, repr=False)


class DatabasePasswords(BaseSettings):
    """The passwords of the database in containers, which no port publishes, with those of a laptop as defaults."""

    model_config = CONTAINER

    postgres_password: str = Field(default="postgres", repr=False)
    pipeline_password: str = Field(default="pipeline", repr=False)
    api_password: str = Field(default="api", repr=False)
    explorer_password: str = Field(default="explorer", repr=False)
    airflow_database_password: str = Field(default="airflow", repr=False)
    mlflow_database_password: str = Field(default="mlflow", repr=False)


class Administration(Logins, DatabasePasswords):
    """What the one-shots need that set the platform in containers up.

    Attributes:
        bind_address: Where the platform's ports are published.
        public_host: The name by which browsers reach them.
        admin_database_url: URL of a database of the server, for a role that may create databases and roles.
        minio_url: Where MinIO is.
        minio_root_user: Its administrator.
        airflow_user: Who logs into Airflow.
    """

    bind_address: str = "127.0.0.1"
    public_host: str = "127.0.0.1"
    airflow_port: Port = 8080
    minio_port: Port = 8081
    minio_console_port: Port = 8082
    jupyter_port: Port = 8085
    admin_database_url: str | None = Field(default=None, repr=False)
    minio_url: str = "http://minio:9000"
    minio_root_user: str = "modelyard"
    airflow_user: str = "airflow"

    def secret(self, name: str) -> str:
        """One of the secrets that are made, by the name of its setting.

        Raises:
            BadInput: It is not set.
        """
        found: str | None = getattr(self, name)
        if found is None:
            raise BadInput(f"{name.upper()} is not set: under compose the service `secrets` makes it")
        return found


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that this one starts: its own, with changes."""
    return {**os.environ, **changes}


def bare_environment() -> dict[str, str]:
    """The environment for a process that works on what others made: where programs and libraries are, and no secret."""
    return {name: os.environ[name] for name in BARE_ENVIRONMENT if name in os.environ}


def settings_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that give another process these settings, wherever its working folder is."""
    values = settings.model_dump(mode="json", exclude_none=True)
    values["modelyard_home"] = settings.home
    if settings.use_cases_path is not None:
        values["use_cases_path"] = settings.use_cases_path.resolve()
    for folder in ("data_url", "accepted_files_url", "objects_url"):
        if folder in values and "://" not in values[folder]:
            values[folder] = Path(values[folder]).resolve()
    # What has parts is read from the environment as JSON.
    values = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name.upper(): str(value) for name, value in values.items()}


def leave_postgres_variables() -> None:
    """Takes what libpq reads of the environment out of it, for this process and those that it starts.

    It is for other servers: the embedded one is described by its URL, and would not be found, or not let us in, with a
    service, an encryption or options that a shell brings along. A server of the user's is described by its URL, too.
    """
    found = sorted(filter(POSTGRES_VARIABLE.fullmatch, os.environ))
    for name in found:
        del os.environ[name]
    if found:
        LOGGER.info("left aside, as the embedded Postgres has its own settings: %s", ", ".join(found))


def run_in_utf8() -> None:
    """Starts this program again in Python's UTF-8 mode where the locale has another encoding.

    Paths, settings and what is printed may have any letters, also in a shell whose locale has not.
    """
    is_utf8 = sys.flags.utf8_mode or locale.getencoding().lower().replace("-", "") == "utf8"
    if is_utf8 or os.environ.get(UTF8_MODE) == "1":
        return
    os.environ[UTF8_MODE] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (the program that runs)


def let_waiting_threads_sleep() -> None:
    """Has OpenMP's threads sleep while they wait for each other; to be called before scikit-learn is imported.

    By default they spin, which is fastest while nothing else runs. Where candidates are trained side by side, or on a
    machine that others use too, they spin for processors that the thread they wait for would need: gradient boosting
    then takes 20 times as long. What the environment says already is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def reach_this_machine_directly() -> None:
    """Keeps a proxy, which the environment may name, out of the way to the servers on this machine.

    For this process and those that it starts. What the environment says already, in either spelling, is kept in both:
    most programs look at one of them only.
    """
    said = [os.environ.get("NO_PROXY"), os.environ.get("no_proxy"), "127.0.0.1,localhost"]
    exceptions = ",".join(dict.fromkeys(",".join(filter(None, said)).split(",")))
    os.environ |= {"NO_PROXY": exceptions, "no_proxy": exceptions}


def step_environment(settings: Settings) -> dict[str, str]:
    """The environment variables of a step that runs in a container of its own: what steps need, and nothing else."""
    values = settings.model_dump(mode="json", include=STEP_SETTINGS, exclude_none=True)
    return {name.upper(): str(value) for name, value in values.items()}

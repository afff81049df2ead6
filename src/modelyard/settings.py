"""Every setting, typed, read once. The only place that reads the environment.

A setting is taken from the environment, else from `secrets.env`, else from `config.env` in the working folder, else
from the secrets of a container, else from the default here. `config.env` documents them all, and begins with what is
said of each here. `variable_of` says under which name.
"""

import json
import locale
import logging
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import from_json
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from modelyard.errors import BadInput
from modelyard.hosts import split_names
from modelyard.variables import (
    COMPOSE_VARIABLES,
    INTERNAL_VARIABLES,
    PREFIX,
    STARTED_BY,
    explain_unknown,
    is_injected,
    variable_of,
)

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
# In the working folder; the later one wins.
SETTINGS_FILES = ("config.env", "secrets.env")
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

# Written as JSON. What cannot be read is this setting's problem, as any other impossible value.
PlatformServices = Annotated[dict[str, PlatformService], NoDecode, BeforeValidator(_read_json)]


class _Environment(EnvSettingsSource):
    """The environment, in which `variable_of` says what a setting is called."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002 (pydantic's)
        """The value of a setting, its name, and that it is a text; what Kubernetes injects is none."""
        name = variable_of(field_name)
        value = self.env_vars.get(name.lower())
        return (None if is_injected(name, value) else value), field_name, False


class _File(_Environment, DotEnvSettingsSource):
    """A file with the same names."""


class _PrefixedSettings(BaseSettings):
    """Settings in variables with the names that `variable_of` gives them, and in files of secrets under their own."""

    model_config = SettingsConfigDict(
        secrets_dir=SECRETS_FOLDERS,
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        # Nothing in a file is a setting under another name.
        dotenv_filtering="only_existing",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 (pydantic's)
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Puts the environment and the files that have our names in the place of pydantic's."""
        files = dotenv_settings.env_file if isinstance(dotenv_settings, DotEnvSettingsSource) else None
        return init_settings, _Environment(settings_cls), _File(settings_cls, env_file=files), file_secret_settings


class Settings(_PrefixedSettings):
    """What can be chosen without touching the code. `config.env` says more of each."""

    model_config = SettingsConfigDict(env_file=SETTINGS_FILES, env_file_encoding="utf-8")

    modelyard_home: Path = Path(".modelyard")
    """The folder of all local state: embedded Postgres, MLflow's artifacts, Airflow, logs, the API's model cache."""

    use_cases_path: Path | None = Field(default_factory=_use_cases_here)
    """A folder with your own use-case files, in addition to those that come with Modelyard."""

    default_use_case: str = "loan_approval"
    """The use case that `POST /predict` and `make demo` use when none is named, and whose schedule is active from the
    start."""

    data_url: str = "data"
    """Where the sources of use cases are: a folder, or a URL such as s3://data."""

    accepted_files_url: str | None = None
    """Where a load keeps a copy of each accepted file, under its hash."""

    objects_url: str | None = None
    """Where images are kept, and their pixels as arrays."""

    pretrained_weights: str | None = None
    """A file with pretrained weights for networks that can start from some (ResNet50)."""

    sources_allowed: Annotated[str, AfterValidator(_check_sources)] = "https://"
    """What a run in Airflow may load if its parameter `source` names it."""

    sources_limit_mb: int = Field(default=10 * 1024, gt=0)
    """The maximum size of such a source after decompression, in megabytes."""

    aws_endpoint_url: str | None = None
    """The object store behind s3://, if it is not Amazon's."""

    aws_default_region: str | None = None
    """The region of the object store."""

    aws_access_key_id: str | None = None
    """The name of the key for sources in an object store."""

    aws_secret_access_key: str | None = Field(default=None, repr=False)
    """The secret of that key."""

    raw_database_url: str | None = Field(default=None, repr=False)
    """URL of the database of raw data and predictions."""

    clean_database_url: str | None = Field(default=None, repr=False)
    """URL of the database of snapshots."""

    mlflow_tracking_uri: str | None = Field(default=None, repr=False)
    """Address of the MLflow server."""

    step_runner: Literal["process", "docker"] = "process"
    """Where Airflow runs a step: `process` next to the scheduler, `docker` in a separate container."""

    step_image: str | None = None
    """The image of the steps' containers."""

    step_network: str | None = None
    """The network of the steps' containers."""

    step_use_cases_volume: str | None = None
    """The volume from which the steps' containers read use cases."""

    step_engine_url: str | None = None
    """The address of the engine that creates the steps' containers."""

    schedules_enabled: bool = True
    """Whether use cases run on their schedules, or only when they are started."""

    allowed_bad_share: float = Field(default=0.05, ge=0, le=1)
    """The share of a load's records that may be rejected (into rejected_records)."""

    deploy_timeout_seconds: float = Field(default=120, gt=0)
    """How many seconds `deploy` waits for every API process to serve the new version."""

    keep_versions: int = Field(default=10, ge=2)
    """How many versions `modelyard prune` keeps."""

    keep_snapshots: int = Field(default=5, ge=1)
    """How many snapshots `modelyard prune` keeps."""

    keep_prediction_months: int = Field(default=24, ge=1)
    """How many full months of predictions to keep in addition to the current one, for all use cases together."""

    model_limit_mb: int = Field(default=1024, gt=0)
    """The maximum size of a model's files together, in megabytes."""

    api_poll_seconds: float = Field(default=2, gt=0)
    """How often an API process polls the registry for a new version, in seconds."""

    api_heartbeat_seconds: float = Field(default=2, gt=0)
    """How often an API process sends its heartbeat, in seconds."""

    api_heartbeat_fresh_seconds: float = Field(default=15, gt=0)
    """A process whose last heartbeat is older than this counts as gone, in seconds."""

    api_body_limit_bytes: int = Field(default=1024 * 1024, gt=0)
    """The maximum size of a request body, in bytes."""

    api_picture_limit_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """The maximum size of a request body for a model of images, in bytes."""

    api_batch_limit: int = Field(default=10_000, gt=0)
    """How many records a batch may have."""

    api_batch_body_limit_bytes: int = Field(default=32 * 1024 * 1024, gt=0)
    """The maximum size of a batch's request body, in bytes."""

    api_concurrency_limit: int = Field(default=1000, gt=0)
    """How many requests a process answers at the same time."""

    api_request_seconds: float = Field(default=30, gt=0)
    """How many seconds a request may take."""

    api_commit_seconds: float = Field(default=2, gt=0)
    """How many seconds an answer waits for the database."""

    api_idempotency_seconds: float = Field(default=24 * 3600, gt=0)
    """How many seconds an Idempotency-Key is remembered."""

    api_spool_folder: Path | None = None
    """The folder of the spool."""

    api_spool_limit_mb: int = Field(default=1024, gt=0)
    """The maximum size of each process's spool, in megabytes."""

    api_shadow: bool = True
    """Whether the challenger of a use case shadows production."""

    api_workers: int = Field(default=1, ge=1)
    """How many processes answer on the port."""

    api_log_format: Literal["text", "json"] = "text"
    """The form of the API's log: `text` for people or `json` for log collectors."""

    api_log_requests: bool = False
    """Whether the API's log has a line for each answer."""

    api_log_rejected: bool = False
    """Whether the API's log has a line for each rejected request, with the invalid values."""

    api_keys: Annotated[str, AfterValidator(_check_hashes)] = Field(default="", repr=False)
    """The keys that the API accepts, as SHA-256 hashes separated by commas."""

    api_url: str | None = None
    """Where the frontend reaches the API."""

    api_key: str | None = Field(default=None, repr=False)
    """The key that the frontend and `make demo` send to the API, if it requires one."""

    platform_services: PlatformServices = {}
    """The platform's own services on the platform page, as JSON."""

    more_services: PlatformServices = {}
    """Further services on the platform page, as JSON."""

    bind_address: str = "127.0.0.1"
    """The address that everything listens on."""

    allowed_hosts: Annotated[str, AfterValidator(_check_names)] = ""
    """Host names by which browsers and programs reach the services, separated by commas, without ports."""

    airflow_port: Port = Field(default=8080, ge=1, le=65535)
    """The port of Airflow."""

    mlflow_port: Port = Field(default=8083, ge=1, le=65535)
    """The port of MLflow."""

    jupyter_port: Port = Field(default=8085, ge=1, le=65535)
    """The port of JupyterLab."""

    api_port: Port = Field(default=8086, ge=1, le=65535)
    """The port of the API."""

    frontend_port: Port = Field(default=8501, ge=1, le=65535)
    """The port of the frontend."""

    airflow_user: str = "airflow"
    """The user of Airflow."""

    airflow_password: str | None = Field(default=None, repr=False)
    """The password of Airflow's user."""

    jupyter_token: str | None = Field(default=None, repr=False)
    """The token that opens JupyterLab."""

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
        BadInput: A setting has an impossible value, or a file has one that does not exist; the message names it.
    """
    for file in SETTINGS_FILES:
        check_names(_File(Settings, env_file=file, env_ignore_empty=False).env_vars, file)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        problems = "; ".join(f"{_place(e['loc'])}: {e['msg']}" for e in error.errors())
        raise BadInput(f"the settings cannot be used: {problems}") from error


def _place(path: tuple[int | str, ...]) -> str:
    setting, *within = map(str, path)
    return ".".join([variable_of(setting), *within])


class Logins(_PrefixedSettings):
    """The secrets of the platform in containers that open a published port. Those that are not given are made."""

    minio_root_password: str | None = Field(default=None, repr=False)
    mlflow_s3_secret_key: str | None = Field(default=None, repr=False)
    data_s3_secret_key: str | None = Field(default=None, repr=False)
    airflow_password: str | None = Field(default=None, repr=False)
    airflow_fernet_key: str | None = Field(default=None, repr=False)
    airflow_jwt_secret: str | None = Field(default=None, repr=False)
    airflow_secret_key: str | None = Field(default=None, repr=False)
    jupyter_token: str | None = Field(default=None, repr=False)


class DatabasePasswords(_PrefixedSettings):
    """The passwords of the database in containers, which no port publishes, with those of a laptop as defaults."""

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
            raise BadInput(f"{variable_of(name)} is not set: under compose the service `secrets` makes it")
        return found


SETTINGS_VARIABLES = COMPOSE_VARIABLES.union(map(variable_of, (*Settings.model_fields, *Administration.model_fields)))
# What a setting would be called without the prefix; the environment's HOME is the user's.
WITHOUT_PREFIX = frozenset(name.removeprefix(PREFIX) for name in SETTINGS_VARIABLES) - SETTINGS_VARIABLES - {"HOME"}


def check_names(names: Iterable[str], where: str) -> None:
    """Makes sure that what a file of settings sets are settings, by their whole names.

    Args:
        names: What it sets. Any other name is somebody else's: compose reads the files, too.
        where: The file.

    Raises:
        BadInput: One is no setting, or lacks the prefix; the message names the nearest that is one.
    """
    unknown = [
        name
        for name in map(str.upper, names)
        if name in WITHOUT_PREFIX or (name.startswith(PREFIX) and name not in SETTINGS_VARIABLES)
    ]
    if unknown:
        raise BadInput(f"{where}: {'; '.join(explain_unknown(name, SETTINGS_VARIABLES) for name in unknown)}")


def check_handed_over_names() -> None:
    """The same for the files that compose hands over as the environment.

    Raises:
        BadInput: As above.
    """
    check_names(os.environ, " or ".join(SETTINGS_FILES))


def check_variables() -> None:
    """Makes sure that every variable with our prefix is one of ours, for a command that a person types.

    In a step that Airflow starts it is a line in the log: nobody is there to write it right.

    Raises:
        BadInput: One is not; the message names the nearest that is.
    """
    if STARTED_BY not in os.environ and (problems := _unknown_variables()):
        raise BadInput("; ".join(problems))
    log_variables()


def log_variables() -> None:
    """Writes a line into the log for every variable with our prefix that has no effect, for a service."""
    for sentence in (*_unknown_variables(), *_described_services()):
        LOGGER.warning(sentence)


def _unknown_variables() -> list[str]:
    ours = SETTINGS_VARIABLES | INTERNAL_VARIABLES
    return [
        explain_unknown(name, SETTINGS_VARIABLES)
        for name, value in sorted(os.environ.items())
        if name.startswith(PREFIX) and name not in ours and not is_injected(name, value)
    ]


def _described_services() -> list[str]:
    """The settings in whose place Kubernetes describes a Service of that name."""
    return [
        f"{name}={value} describes a Service of Kubernetes, and is not used as the setting"
        for name, value in sorted(os.environ.items())
        if name in SETTINGS_VARIABLES and is_injected(name, value)
    ]


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
    return {variable_of(name): str(value) for name, value in values.items()}


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
    return {variable_of(name): str(value) for name, value in values.items()} | {STARTED_BY: "airflow"}

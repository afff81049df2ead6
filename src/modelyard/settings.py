"""Every setting, typed, read once. The only place that reads the environment.

A setting is taken from the environment, else from `secrets.env`, else from `config.env` in the working folder, else
from the default here. `config.env` documents them all.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from modelyard.errors import BadInput

Port = int


class Settings(BaseSettings):
    """What can be chosen without touching the code. `config.env` says what each is for."""

    model_config = SettingsConfigDict(
        env_file=("config.env", "secrets.env"),
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    modelyard_home: Path = Path(".modelyard")
    use_cases_path: Path | None = None
    default_use_case: str = "loan_approval"
    data_url: str = "data"

    raw_database_url: str | None = Field(default=None, repr=False)
    clean_database_url: str | None = Field(default=None, repr=False)
    mlflow_tracking_uri: str | None = Field(default=None, repr=False)

    step_runner: Literal["process"] = "process"
    schedules_enabled: bool = True
    allowed_bad_share: float = Field(default=0.05, ge=0, le=1)
    deploy_timeout_seconds: float = Field(default=120, gt=0)
    keep_versions: int = Field(default=10, ge=2)
    keep_snapshots: int = Field(default=5, ge=1)

    api_poll_seconds: float = Field(default=2, gt=0)
    api_heartbeat_seconds: float = Field(default=2, gt=0)
    api_heartbeat_fresh_seconds: float = Field(default=15, gt=0)
    api_body_limit_bytes: int = Field(default=1024 * 1024, gt=0)

    bind_address: str = "127.0.0.1"
    airflow_port: Port = Field(default=8080, ge=1, le=65535)
    mlflow_port: Port = Field(default=8083, ge=1, le=65535)
    jupyter_port: Port = Field(default=8085, ge=1, le=65535)
    api_port: Port = Field(default=8086, ge=1, le=65535)

    airflow_user: str = "airflow"
    airflow_password: str = Field(default="airflow", repr=False)
    jupyter_token: str = Field(default="modelyard", repr=False)

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


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """The environment for a process that this one starts: its own, with changes."""
    return {**os.environ, **changes}


def settings_environment(settings: Settings) -> dict[str, str]:
    """The environment variables that give another process these settings, wherever its working folder is."""
    values = settings.model_dump(mode="json", exclude_none=True)
    values["modelyard_home"] = settings.home
    if settings.use_cases_path is not None:
        values["use_cases_path"] = settings.use_cases_path.resolve()
    if "://" not in settings.data_url:
        values["data_url"] = Path(settings.data_url).resolve()
    return {name.upper(): str(value) for name, value in values.items()}


def let_waiting_threads_sleep() -> None:
    """Has OpenMP's threads sleep while they wait for each other; to be called before scikit-learn is imported.

    By default they spin, which is fastest while nothing else runs. Where candidates are trained side by side, or on a
    machine that others use too, they spin for processors that the thread they wait for would need: gradient boosting
    then takes 20 times as long. What the environment says already is left alone.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

"""What Airflow needs before its first process starts."""

import json
import logging
import os
import subprocess
from configparser import ConfigParser
from io import StringIO
from pathlib import Path

from modelyard.errors import BadInput, StepFailed
from modelyard.settings import Administration

LOGGER = logging.getLogger(__name__)
# On the volume that all of Airflow's services share, and no other.
STATE = Path("/opt/airflow/state")


def initialize(administration: Administration, state: Path = STATE) -> None:
    """Writes the login and the keys, readable by Airflow alone, and brings Airflow's database up to date.

    Args:
        administration: User, password and keys.
        state: The folder that Airflow's services share.

    Raises:
        BadInput: There are no keys: they are made by the service `secrets`.
        StepFailed: The database cannot be migrated; Airflow has said why.
    """
    # Airflow opens it for writing.
    _write(state / "passwords.json", json.dumps({administration.airflow_user: administration.airflow_password}))
    _write(state / "airflow.cfg", _keys(administration))
    if subprocess.run(["airflow", "db", "migrate"], check=False).returncode:  # noqa: S607 (that of this environment)
        raise StepFailed("Airflow's database cannot be migrated: its last lines above say why")
    LOGGER.info("Airflow's database is up to date")


def _keys(administration: Administration) -> str:
    """The part of Airflow's configuration that is secret; the environment says the rest."""
    keys = {
        ("core", "fernet_key"): administration.airflow_fernet_key,
        ("api", "secret_key"): administration.airflow_secret_key,
        ("api_auth", "jwt_secret"): administration.airflow_jwt_secret,
    }
    written = ConfigParser(interpolation=None)
    for (section, name), key in keys.items():
        if key is None:
            raise BadInput(f"there is no key for Airflow's {section}.{name}: the service `secrets` makes it")
        # Airflow interpolates.
        written[section] = {name: key.replace("%", "%%")}
    text = StringIO()
    written.write(text)
    return text.getvalue()


def _write(file: Path, content: str) -> None:
    """Writes a file that its owner alone can read, also if it was there with another mode."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(content)

"""What Airflow needs before its first process starts."""

import json
import logging
import subprocess
from configparser import ConfigParser
from io import StringIO
from pathlib import Path

from modelyard.errors import StepFailed
from modelyard.home import write_private
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
        BadInput: The password or a key is missing: the service `secrets` makes them.
        StepFailed: The database cannot be migrated; Airflow has said why.
    """
    login = {administration.airflow_user: administration.secret("airflow_password")}
    # Airflow opens it for writing.
    write_private(state / "passwords.json", json.dumps(login))
    write_private(state / "airflow.cfg", _keys(administration))
    if subprocess.run(["airflow", "db", "migrate"], check=False).returncode:  # noqa: S607 (that of this environment)
        raise StepFailed("Airflow's database cannot be migrated: its last lines above say why")
    LOGGER.info("Airflow's database is up to date")


def _keys(administration: Administration) -> str:
    """The part of Airflow's configuration that is secret; the environment says the rest."""
    keys = {
        ("core", "fernet_key"): "airflow_fernet_key",
        ("api", "secret_key"): "airflow_secret_key",
        ("api_auth", "jwt_secret"): "airflow_jwt_secret",
    }
    written = ConfigParser(interpolation=None)
    for (section, name), setting in keys.items():
        # Airflow interpolates.
        written[section] = {name: administration.secret(setting).replace("%", "%%")}
    text = StringIO()
    written.write(text)
    return text.getvalue()

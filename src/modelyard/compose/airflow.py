"""What Airflow needs before its first process starts."""

import json
import logging
import subprocess
from pathlib import Path

from modelyard.errors import StepFailed
from modelyard.settings import Settings

LOGGER = logging.getLogger(__name__)
# On the volume that all of Airflow's services share. Airflow opens it for writing.
PASSWORDS = Path("/opt/airflow/state/passwords.json")


def initialize(settings: Settings, passwords: Path = PASSWORDS) -> None:
    """Writes the login, readable by Airflow alone, and brings Airflow's database up to date.

    Raises:
        StepFailed: The database cannot be migrated; Airflow has said why.
    """
    passwords.touch(mode=0o600)
    passwords.write_text(json.dumps({settings.airflow_user: settings.airflow_password}), encoding="utf-8")
    if subprocess.run(["airflow", "db", "migrate"], check=False).returncode:  # noqa: S607 (that of this environment)
        raise StepFailed("Airflow's database cannot be migrated: its last lines above say why")
    LOGGER.info("Airflow's database is up to date")

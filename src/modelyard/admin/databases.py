"""The databases of a server that is not ours."""

import logging

from modelyard.errors import BadInput
from modelyard.settings import Administration
from modelyard.stores.migrate import migrate

LOGGER = logging.getLogger(__name__)


def migrate_server(administration: Administration) -> None:
    """Makes or updates the databases, roles and tables, and sets the roles' passwords.

    Raises:
        BadInput: No server is named.
        ServiceUnavailable: The server does not answer, or refuses the login.
    """
    if administration.admin_database_url is None:
        raise BadInput("ADMIN_DATABASE_URL is not set: it names the server, with a role that may create databases")
    passwords = {
        "pipeline": administration.pipeline_password,
        "api": administration.api_password,
        "explorer": administration.explorer_password,
        "airflow": administration.airflow_database_password,
        "mlflow": administration.mlflow_database_password,
    }
    done = migrate(administration.admin_database_url, passwords)
    LOGGER.info("migrated: %s", ", ".join(done) or "nothing was left to do")

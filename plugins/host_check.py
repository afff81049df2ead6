"""Has Airflow's API server refuse requests with a foreign name in the header Host."""

from airflow.plugins_manager import AirflowPlugin

from modelyard.hosts import AllowedHosts, Application, HostCheck


def check_hosts(app: Application) -> HostCheck:
    """Airflow's application behind the check.

    Raises:
        BadInput: A setting has an impossible value.
    """
    # Airflow's other processes import this file too, and need no settings for it.
    from modelyard.settings import read_settings

    return HostCheck(app, AllowedHosts(read_settings().host_names))


class HostCheckPlugin(AirflowPlugin):
    """Adds the check to all that the API server answers."""

    name = "modelyard_host_check"
    fastapi_root_middlewares = [{"name": "host check", "middleware": check_hosts}]  # noqa: RUF012 (as Airflow has it)

"""`python -m services.tracking …` runs `mlflow server …`, which is reached by the names of the settings."""

import os
import sys
from typing import NoReturn

from modelyard.errors import ModelyardError
from modelyard.hosts import mlflow_variables
from modelyard.settings import child_environment, read_settings


def main() -> NoReturn:
    """Becomes MLflow's server."""
    try:
        settings = read_settings()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    command = [sys.executable, "-m", "mlflow", "server", *sys.argv[1:]]
    os.execve(sys.executable, command, child_environment(mlflow_variables(settings.host_names)))  # noqa: S606


if __name__ == "__main__":
    main()

"""`python -m services.frontend` runs the frontend until it is told to stop."""

import sys
from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from modelyard.errors import ModelyardError
from modelyard.hosts import AllowedHosts, HostCheck
from modelyard.settings import read_settings

SCRIPT = Path(__file__).with_name("app.py")


def main() -> int:
    """Serves until it is told to stop; returns the exit code."""
    try:
        settings = read_settings()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    app = App(SCRIPT, middleware=[Middleware(HostCheck, AllowedHosts(settings.host_names))])
    app.run(config={"server.address": settings.bind_address, "server.port": settings.frontend_port})
    return 0


if __name__ == "__main__":
    sys.exit(main())

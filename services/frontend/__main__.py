"""`python -m services.frontend` runs the frontend until it is told to stop."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from modelyard.errors import ModelyardError
from modelyard.settings import read_settings

SCRIPT = Path(__file__).with_name("app.py")


def main() -> NoReturn:
    """Becomes Streamlit's server."""
    try:
        settings = read_settings()
    except ModelyardError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    options = [f"--server.address={settings.bind_address}", f"--server.port={settings.frontend_port}"]
    # As a process of its own name and signals: whoever started this one stops Streamlit.
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(SCRIPT), *options])  # noqa: S606


if __name__ == "__main__":
    main()

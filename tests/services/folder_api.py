"""The API with a folder in the place of the registry: `python -m tests.services.folder_api FOLDER`."""

import logging
import sys
from pathlib import Path

import uvicorn

from modelyard.settings import read_settings
from services.api.app import create_app
from tests.services.folder_source import FolderSource


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = read_settings()
    app = create_app(settings, FolderSource(Path(sys.argv[1])))
    uvicorn.run(
        app, host=settings.bind_address, port=settings.api_port, log_config=None, access_log=False, proxy_headers=False
    )


if __name__ == "__main__":
    main()

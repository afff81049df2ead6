"""The API with a folder in the place of the registry: `python -m tests.services.folder_api FOLDER`."""

import os
import sys
from pathlib import Path

from modelyard.settings import read_settings
from services.api.__main__ import serve
from services.api.app import create_app
from services.api.http.gateway import Gateway
from services.api.logs import log_as
from tests.services.folder_source import FolderSource

FOLDER = "TESTS_REGISTRY_FOLDER"


def make_app() -> Gateway:
    """What each process of it serves."""
    settings = read_settings()
    log_as(settings)
    return create_app(settings, FolderSource(Path(os.environ[FOLDER])))


if __name__ == "__main__":
    os.environ[FOLDER] = sys.argv[1]
    sys.exit(serve(read_settings(), "tests.services.folder_api:make_app"))

"""The API with a folder in the place of the registry: `python -m tests.services.folder_api FOLDER`."""

import logging
import sys
from pathlib import Path

from modelyard.settings import read_settings
from services.api.__main__ import LOG_FORMAT, serve
from tests.services.folder_source import FolderSource

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT)
    sys.exit(serve(read_settings(), FolderSource(Path(sys.argv[1]))))

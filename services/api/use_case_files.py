"""The files in USE_CASES_PATH that hold no use case, as the overview names them.

To know, one must run them. That is done in a process of its own, which has no secret in its environment: whatever a
file does, this service goes on answering.

    python -m services.api.use_case_files FOLDER
"""

import subprocess
import sys
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from modelyard.catalog import read_catalog
from modelyard.settings import bare_environment

SECONDS = 20


class BrokenFile(BaseModel):
    """A file that should declare a use case, and does not."""

    file: str
    line: int | None
    reason: str


BROKEN_FILES = TypeAdapter(list[BrokenFile])
Seen = tuple[tuple[str, int, int], ...]


class UseCaseFiles:
    """The files of a folder, run again only when one of them has changed.

    Args:
        folder: USE_CASES_PATH; None: there is none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._seen: Seen | None = None
        self._broken: list[BrokenFile] = []

    def broken(self) -> list[BrokenFile]:
        """What is wrong with them now; takes up to some seconds after a change."""
        if self._folder is None:
            return []
        seen = _seen(self._folder)
        if seen != self._seen:
            try:
                self._broken = _ask(self._folder)
            except subprocess.TimeoutExpired:
                # Another time it may be quicker.
                reason = f"reading its files takes more than {SECONDS} s"
                return [BrokenFile(file=str(self._folder), line=None, reason=reason)]
            self._seen = seen
        return self._broken


def _seen(folder: Path) -> Seen:
    """What tells whether a file has changed; one that goes meanwhile is as good as gone."""
    found = ((file, file.stat()) for file in sorted(folder.glob("*.py")) if file.is_file())
    return tuple((file.name, status.st_mtime_ns, status.st_size) for file, status in found)


def _ask(folder: Path) -> list[BrokenFile]:
    command = [sys.executable, "-m", __name__, str(folder)]
    environment = bare_environment() | {"PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, check=True, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS
        )
    except subprocess.CalledProcessError as error:
        reason = f"reading its files ends with exit code {error.returncode}"
        return [BrokenFile(file=str(folder), line=None, reason=reason)]
    return BROKEN_FILES.validate_json(done.stdout.splitlines()[-1])


def _main(folder: Path) -> None:
    found = read_catalog(folder).broken
    broken = [BrokenFile(file=str(each.file), line=each.line, reason=each.reason) for each in found]
    # A file may have written something, too.
    sys.stdout.write(f"\n{BROKEN_FILES.dump_json(broken).decode()}\n")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))

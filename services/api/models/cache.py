"""The last versions that were in production, kept on disk so that a restart can answer before the registry does."""

import errno
import math
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

# Names the version that was last in production.
POINTER = "production"
UNFINISHED = ".unfinished-"
UNFINISHED_FOR_GOOD_SECONDS = 24 * 3600.0


class ModelCache:
    """Folders of proven versions, `<folder>/<use case>/<version>`, shared by all API processes of a machine.

    Args:
        folder: Where they are.
        versions_kept: Versions of a use case that are kept.
    """

    def __init__(self, folder: Path, versions_kept: int) -> None:
        self._folder = folder
        self._versions_kept = versions_kept

    def last_in_production(self) -> dict[str, tuple[int, Path]]:
        """The version that each use case had in production last, and its folder."""
        found: dict[str, tuple[int, Path]] = {}
        for pointer in sorted(self._folder.glob(f"*/{POINTER}")):
            text = pointer.read_text(encoding="utf-8").strip()
            if text.isdecimal():
                found[pointer.parent.name] = int(text), pointer.parent / text
        return found

    @contextmanager
    def staging(self, use_case: str) -> Iterator[Path]:
        """An empty folder to download into; removed at the end, unless it was put in its place."""
        folder = self._folder / use_case
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=UNFINISHED, dir=folder) as temporary:
            staged = Path(temporary) / "content"
            staged.mkdir()
            yield staged

    def put(self, use_case: str, version: int, staged: Path) -> None:
        """Keeps a staged and proven version; the oldest beyond the limit are removed."""
        folder = self._folder / use_case
        # A version that is there is replaced: in a registry that was made anew, the number means another model.
        with suppress(FileNotFoundError):
            (folder / str(version)).rename(staged.parent / "replaced")
        _move(staged, folder / str(version))
        self._remove_old(folder, version)

    def point(self, use_case: str, version: int) -> None:
        """Notes that a version is the one in production."""
        with TemporaryDirectory(prefix=UNFINISHED, dir=self._folder / use_case) as temporary:
            pointer = Path(temporary) / POINTER
            pointer.write_text(f"{version}\n", encoding="utf-8")
            pointer.replace(self._folder / use_case / POINTER)

    def forget(self, use_case: str) -> None:
        """Removes all versions of a use case."""
        with suppress(FileNotFoundError):
            shutil.rmtree(self._folder / use_case)

    def _remove_old(self, folder: Path, version: int) -> None:
        others = [path for path in folder.iterdir() if path.name.isdecimal() and path.name != str(version)]
        others.sort(key=_age_seconds)
        dead = [path for path in folder.glob(f"{UNFINISHED}*") if _age_seconds(path) > UNFINISHED_FOR_GOOD_SECONDS]
        for path in [*others[self._versions_kept - 1 :], *dead]:
            shutil.rmtree(path, ignore_errors=True)


def _move(staged: Path, place: Path) -> None:
    try:
        staged.rename(place)
    except OSError as error:
        # Another process was quicker, with the same files.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def _age_seconds(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        # Another process has removed it meanwhile: it counts as the oldest, or it would be kept instead of one that is.
        return math.inf

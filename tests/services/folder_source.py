"""A source of models that is a folder. It loads nothing heavy, as an API process of the tests runs on it."""

import json
import shutil
import time
from pathlib import Path

from modelyard.errors import ServiceUnavailable, StepFailed
from modelyard.stores.registry import Offered

PRODUCTION = "production"
CHALLENGER = "challenger"
DELETED = "deleted"
HELD = "held"


class FolderSource:
    """What the API needs of a registry, out of a folder: a file for each alias, and `<use case>/<version>/`.

    Without `production.json` it does not answer. A download of a version waits while its folder has a file `held`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offered(self) -> dict[str, Offered]:
        """As the registry has it."""
        try:
            production = self._read(PRODUCTION)
        except FileNotFoundError as error:
            raise ServiceUnavailable(f"the folder {self.folder} does not answer") from error
        challengers, deleted = self._read_all(CHALLENGER), self._read_all(DELETED)
        return {
            name: Offered(version, challengers.get(name), is_deleted=name in deleted)
            for name, version in production.items()
        }

    def download(self, use_case: str, number: int, folder: Path, names: tuple[str, ...], limit_bytes: int) -> Path:
        """As the registry has it."""
        while (self.folder / use_case / str(number) / HELD).exists():
            time.sleep(0.01)
        version = self.folder / use_case / str(number)
        if sum((version / name).stat().st_size for name in names if (version / name).exists()) > limit_bytes:
            raise StepFailed(f"{use_case} version {number} is too large")
        for name in names:
            try:
                shutil.copy(self.folder / use_case / str(number) / name, folder)
            except FileNotFoundError as error:
                raise StepFailed(f"{use_case} version {number} has no {name}") from error
        return folder

    def point(self, **versions: int | None) -> None:
        """Moves production of some use cases."""
        self._write(PRODUCTION, versions)

    def challenge(self, **versions: int | None) -> None:
        """Moves the challenger of some use cases, or takes it away."""
        self._write(CHALLENGER, versions)

    def delete(self, use_case: str) -> None:
        """Says of a use case that it was deleted."""
        self._write(DELETED, {use_case: None})
        self.point(**{use_case: None})

    def lose_everything(self) -> None:
        """Answers, and has no use case any more."""
        self.go_away()
        self._write(PRODUCTION, {})

    def go_away(self) -> None:
        """Stops answering."""
        self._file(PRODUCTION).unlink()

    def _write(self, alias: str, versions: dict[str, int | None]) -> None:
        file = self._file(alias)
        now = self._read_all(alias)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(now | versions), encoding="utf-8")
        unfinished.replace(file)

    def _read_all(self, alias: str) -> dict[str, int | None]:
        return self._read(alias) if self._file(alias).exists() else {}

    def _read(self, alias: str) -> dict[str, int | None]:
        return dict(json.loads(self._file(alias).read_text(encoding="utf-8")))

    def _file(self, alias: str) -> Path:
        return self.folder / f"{alias}.json"

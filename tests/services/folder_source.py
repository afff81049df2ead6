"""A source of models that is a folder. It loads nothing heavy, as an API process of the tests runs on it."""

import json
import shutil
from pathlib import Path

from modelyard.errors import ServiceUnavailable, StepFailed


class FolderSource:
    """What the API needs of a registry, out of a folder: `production.json` and `<use case>/<version>/`.

    Without `production.json` it does not answer.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def offered(self) -> dict[str, int | None]:
        """As the registry has it."""
        try:
            return dict(json.loads(self._production.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise ServiceUnavailable(f"the folder {self.folder} does not answer") from error

    def download(self, use_case: str, number: int, folder: Path, names: tuple[str, ...]) -> Path:
        """As the registry has it."""
        for name in names:
            try:
                shutil.copy(self.folder / use_case / str(number) / name, folder)
            except FileNotFoundError as error:
                raise StepFailed(f"{use_case} version {number} has no {name}") from error
        return folder

    @property
    def _production(self) -> Path:
        return self.folder / "production.json"

    def point(self, **versions: int | None) -> None:
        """Moves production of some use cases."""
        now = self.offered() if self._production.exists() else {}
        unfinished = self._production.with_suffix(".new")
        unfinished.write_text(json.dumps(now | versions), encoding="utf-8")
        unfinished.replace(self._production)

    def go_away(self) -> None:
        """Stops answering."""
        self._production.unlink()

"""Downloads the versions that have the alias `challenger`, and has them prove themselves, for the shadow."""

import asyncio
import logging
import threading
from collections.abc import Mapping

from modelyard.errors import ModelyardError, StepFailed
from services.api.model_cache import ModelCache
from services.api.proven import ModelSource, fetched
from services.api.registry_watch import in_loop
from services.api.shadow import Challenger, Shadows

LOGGER = logging.getLogger(__name__)


class ChallengerWatch:
    """Keeps the challengers that are asked equal to those that the registry has.

    Works in a thread of its own: what goes into production waits for no challenger.

    Args:
        source: The registry.
        cache: Where there is room for a download. A challenger does not stay there: after a start it is fetched again.
        shadows: Asks them.
    """

    def __init__(self, source: ModelSource, cache: ModelCache, shadows: Shadows) -> None:
        self._source = source
        self._cache = cache
        self._shadows = shadows
        self._wanted: Mapping[str, int] = {}
        self._noted: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._news = threading.Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: a registry that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="challenger-watch", daemon=True)

    def start(self) -> None:
        """Begins; called once, in the event loop's thread."""
        self._thread.start()

    def look(self, versions: Mapping[str, int]) -> None:
        """Takes note of which versions are challengers now, by use case; returns at once."""
        self._wanted = versions
        self._news.set()

    def _run(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            try:
                self._follow(self._wanted)
            except Exception:
                # The thread's outermost edge: whatever happens, the next look may find it mended.
                LOGGER.exception("looking for challengers failed")

    def _follow(self, wanted: Mapping[str, int]) -> None:
        for use_case in [name for name in self._noted if name not in wanted]:
            del self._noted[use_case]
            self._taken.pop(use_case, None)
            in_loop(self._loop, self._shadows.withdraw, use_case)
        for use_case, version in wanted.items():
            if self._taken.get(use_case) != version:
                self._take(use_case, version)

    def _take(self, use_case: str, version: int) -> None:
        if self._noted.get(use_case) != version:
            self._noted[use_case] = version
            self._note(use_case, Challenger(version, f"version {version} is being fetched"))
        try:
            with fetched(self._source, self._cache, use_case, version) as (served, _):
                detail = f"version {version} has proven itself on its example"
                challenger = Challenger(version, detail, served)
        except StepFailed as error:
            challenger = Challenger(version, f"version {version} cannot be asked: {error}")
        except (ModelyardError, OSError) as error:
            # Nothing is known to be wrong with the model: it is tried again at the next look.
            self._note(use_case, Challenger(version, f"version {version} cannot be fetched yet: {error}"))
            return
        self._taken[use_case] = version
        self._note(use_case, challenger)

    def _note(self, use_case: str, challenger: Challenger) -> None:
        in_loop(self._loop, self._shadows.challenge, use_case, challenger)

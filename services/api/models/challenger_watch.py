"""Downloads the versions that have the alias `challenger`, and has them prove themselves, for the shadow."""

import asyncio
import threading
from collections.abc import Mapping

from modelyard.errors import ModelyardError, StepFailed
from services.api.models.registry_watch import in_loop
from services.api.models.shadow import Challenger, Shadows
from services.api.models.takes import Takes
from services.api.models.verified import Fetcher

# One that never ends holds up no other.
TAKEN_AT_A_TIME = 2


class ChallengerWatch:
    """Keeps the challengers that are asked equal to those that the registry has.

    Works in threads of its own: what goes into production waits for no challenger.

    Args:
        fetcher: Fetches versions from the registry. A challenger is not kept: after a start it is fetched again.
        shadows: Asks them.
        poll_seconds: How long a challenger rests that could not be fetched.
    """

    def __init__(self, fetcher: Fetcher, shadows: Shadows, poll_seconds: float) -> None:
        self._fetcher = fetcher
        self._shadows = shadows
        self._lock = threading.Lock()
        self._noted: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._takes = Takes(self._take, _leave_to_the_next_look, TAKEN_AT_A_TIME, poll_seconds)

    def look(self, versions: Mapping[str, int]) -> None:
        """Has those be taken that are challengers now, by use case; called at each look, returns at once."""
        for use_case in [name for name in self._noted if name not in versions]:
            with self._lock:
                del self._noted[use_case]
                self._taken.pop(use_case, None)
                in_loop(self._loop, self._shadows.withdraw, use_case)
        for use_case, version in versions.items():
            self._note_fetching(use_case, version)
            if self._taken.get(use_case) != version:
                self._takes.start(use_case, version)

    def _note_fetching(self, use_case: str, version: int) -> None:
        with self._lock:
            if self._noted.get(use_case) != version:
                self._noted[use_case] = version
                self._note(use_case, Challenger(version, f"version {version} is being fetched"))

    def _take(self, use_case: str, version: int) -> bool:
        is_settled = True
        try:
            with self._fetcher.fetched(use_case, version) as (served, _):
                challenger = Challenger(version, f"version {version} has proven itself on its example", served)
        except StepFailed as error:
            challenger = Challenger(version, f"version {version} cannot be asked: {error}")
        except (ModelyardError, OSError) as error:
            # Nothing is known to be wrong with the model: it is tried again.
            challenger = Challenger(version, f"version {version} cannot be fetched yet: {error}")
            is_settled = False
        with self._lock:
            # Else there is another one by now, or none.
            if self._noted.get(use_case) == version:
                if is_settled:
                    self._taken[use_case] = version
                self._note(use_case, challenger)
        return is_settled

    def _note(self, use_case: str, challenger: Challenger) -> None:
        in_loop(self._loop, self._shadows.challenge, use_case, challenger)


def _leave_to_the_next_look() -> None:
    """Challengers that found no room wait for it: the registry is asked every few seconds."""

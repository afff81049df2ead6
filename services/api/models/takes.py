"""Versions are taken side by side, so that one which takes long, or never ends, holds up no other."""

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

LOGGER = logging.getLogger(__name__)

LONGEST_PAUSE_SECONDS = 60.0


class _Pause(NamedTuple):
    """After a version could not be taken: until when it is not tried again, and how long that is."""

    version: int
    seconds: float
    end: float


class Takes:
    """Takes versions in threads of their own, some at a time.

    Args:
        take: Takes a version of a use case; returns whether that is settled, else it may be tried again.
        done: Called after each, as there is room for another one then.
        most: How many at a time.
        pause_seconds: What is not settled rests so long, and twice as long each time.
    """

    def __init__(
        self, take: Callable[[str, int], bool], done: Callable[[], None], most: int, pause_seconds: float
    ) -> None:
        self._take = take
        self._done = done
        self._most = most
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()
        self._under_way: set[tuple[str, int]] = set()
        self._pauses: dict[str, _Pause] = {}

    def start(self, use_case: str, version: int, spared: int = 0) -> None:
        """Has a version taken if it is not being taken, does not rest, and there is room; returns at once.

        Args:
            use_case: Whose version.
            version: Which.
            spared: How much of the room is left to others.
        """
        with self._lock:
            has_room = len(self._under_way) < self._most - spared
            if not has_room or (use_case, version) in self._under_way or self._rests(use_case, version):
                return
            self._under_way.add((use_case, version))
        # A daemon: a registry that hangs must not keep the process from ending.
        threading.Thread(target=self._run, args=(use_case, version), name="take-version", daemon=True).start()

    def _rests(self, use_case: str, version: int) -> bool:
        pause = self._pauses.get(use_case)
        return pause is not None and pause.version == version and time.monotonic() < pause.end

    def _run(self, use_case: str, version: int) -> None:
        is_settled = False
        try:
            is_settled = self._take(use_case, version)
        except Exception:
            # The thread's outermost edge: whatever happens, another time may find it mended.
            LOGGER.exception("taking version %d of %s failed", version, use_case)
        with self._lock:
            self._under_way.discard((use_case, version))
            self._note(use_case, version, is_settled)
        self._done()

    def _note(self, use_case: str, version: int, is_settled: bool) -> None:
        before = self._pauses.pop(use_case, None)
        if not is_settled:
            was_same = before is not None and before.version == version
            seconds = min(2 * before.seconds, LONGEST_PAUSE_SECONDS) if before and was_same else self._pause_seconds
            self._pauses[use_case] = _Pause(version, seconds, time.monotonic() + seconds)

"""Looks which versions are in production, and has the API serve them once they are downloaded and proven."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from modelyard.contract import IDENTIFIER
from modelyard.errors import ModelyardError, StepFailed, UnusableModel
from modelyard.models.onnx.verification import load_verified
from modelyard.stores.registry import Offered
from services.api.models.cache import ModelCache
from services.api.models.served import Models, ServedVersion
from services.api.models.takes import Takes
from services.api.models.verified import Fetcher, ModelSource

LOGGER = logging.getLogger(__name__)

NOT_ASKED = "the registry has not been asked yet"
ANSWERS = "answers"
VERSIONS_IN_MEMORY = 2
STOP_SECONDS = 1.0
# A machine has few processors, and a version that is tried may take as much memory as one that answers.
TAKEN_AT_A_TIME = 3
# Of these, for use cases that answer already: no number of new ones holds up their next version.
SPARED = 1


class RegistryWatch:
    """Keeps what is served equal to what is in production.

    Works in threads of its own, so that neither a slow registry nor a large model holds up an answer.

    Args:
        source: The registry.
        fetcher: Fetches versions from it.
        cache: Where versions are kept for the next start. What it holds has been tried by whoever put it there.
        models: What is served.
        poll_seconds: How long it waits before it asks again.
    """

    def __init__(
        self, source: ModelSource, fetcher: Fetcher, cache: ModelCache, models: Models, poll_seconds: float
    ) -> None:
        self.registry = NOT_ASKED
        self._source = source
        self._fetcher = fetcher
        self._cache = cache
        self._models = models
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._offered: dict[str, int] = {}
        self._taken: dict[str, int] = {}
        # The one that answers and the one before, so that a rollback needs no download.
        self._verified: dict[str, list[ServedVersion]] = {}
        self._withdrawn: set[str] = set()
        self._on_challengers: list[Callable[[Mapping[str, int]], None]] = []
        self._stopped = threading.Event()
        self._wanted = threading.Event()
        self._takes = Takes(self._take, self._wanted.set, TAKEN_AT_A_TIME, poll_seconds)
        # A daemon: a registry that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="registry-watch", daemon=True)

    def on_challengers(self, listener: Callable[[Mapping[str, int]], None]) -> None:
        """Has a function called, in the thread that looks, with the challengers of what is in production."""
        self._on_challengers.append(listener)

    def start(self) -> None:
        """Serves what the cache holds, and begins to look; called once, in the event loop's thread."""
        self._loop = asyncio.get_running_loop()
        for use_case, (version, folder) in self._cache.last_in_production().items():
            self._serve_cached(use_case, version, folder)
        self._thread.start()

    def stop(self) -> None:
        """Ends the looking; what is served stays. A registry that hangs is not waited for."""
        self._stopped.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def _serve_cached(self, use_case: str, version: int, folder: Path) -> None:
        try:
            served = ServedVersion(version, load_verified(folder, use_case))
        except UnusableModel as error:
            LOGGER.warning("%s: version %d in the cache cannot be used: %s", use_case, version, error)
            return
        self._models.serve(use_case, served, f"version {version} answers from the cache; {NOT_ASKED}")

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wanted.clear()
            try:
                self._look()
            except Exception:
                # The thread's outermost edge: whatever happens, the next look may find it mended.
                LOGGER.exception("looking into the registry failed")
            self._wanted.wait(self._poll_seconds)

    def _look(self) -> None:
        try:
            offered = self._source.offered()
        except ModelyardError as error:
            self._note_registry(str(error))
            return
        self._note_registry(ANSWERS)
        # Other people's models may have names that no use case can have.
        ours = {use_case: each for use_case, each in offered.items() if re.fullmatch(IDENTIFIER, use_case)}
        for listener in self._on_challengers:
            listener(_challengers(ours))
        deleted = {use_case for use_case, versions in ours.items() if versions.is_deleted}
        for use_case in deleted - self._withdrawn:
            self._withdraw(use_case)
        self._withdrawn = deleted
        for use_case in ours.keys() - deleted:
            self._look_at(use_case, ours[use_case].production)

    def _withdraw(self, use_case: str) -> None:
        """Ends the serving of a use case that was deleted."""
        with self._lock:
            for known in (self._taken, self._offered, self._verified):
                known.pop(use_case, None)
            self._in_loop(self._models.forget, use_case)
            with _cache_trouble(use_case, 0):
                self._cache.forget(use_case)

    def _look_at(self, use_case: str, version: int | None) -> None:
        if version is None:
            self._in_loop(self._models.know, use_case)
        elif not (self._taken.get(use_case) == self._offered.get(use_case) == version):
            self._offer(use_case, version)
            self._takes.start(use_case, version, spared=0 if use_case in self._verified else SPARED)

    def _offer(self, use_case: str, version: int) -> None:
        with self._lock:
            if self._offered.get(use_case) != version:
                self._offered[use_case] = version
                self._in_loop(self._models.note, use_case, f"version {version} is being fetched")

    def _note_registry(self, state: str) -> None:
        # Not at every change of the words: an outage is told once.
        if (state == ANSWERS) != (self.registry == ANSWERS):
            LOGGER.info("the registry: %s", state)
        self.registry = state

    def _take(self, use_case: str, version: int) -> bool:
        try:
            served = self._known(use_case, version) or self._fetch(use_case, version)
        except StepFailed as error:
            return self._refuse(use_case, version, f"version {version} cannot be served: {error}")
        except (ModelyardError, OSError) as error:
            # Nothing is known to be wrong with the model: it is tried again.
            return self._postpone(use_case, version, f"version {version} cannot be fetched yet: {error}")
        return self._serve(use_case, served)

    def _refuse(self, use_case: str, version: int, sentence: str) -> bool:
        with self._still_offered(use_case, version) as is_offered:
            if is_offered:
                self._taken[use_case] = version
                self._in_loop(self._models.refuse, use_case, version, sentence)
        return True

    def _postpone(self, use_case: str, version: int, sentence: str) -> bool:
        with self._still_offered(use_case, version) as is_offered:
            if is_offered:
                self._in_loop(self._models.note, use_case, sentence)
        return False

    @contextmanager
    def _still_offered(self, use_case: str, version: int) -> Iterator[bool]:
        """Whether a version is still the one in production, which does not change meanwhile."""
        with self._lock:
            yield self._offered.get(use_case) == version

    def _known(self, use_case: str, version: int) -> ServedVersion | None:
        return next((proven for proven in self._verified.get(use_case, []) if proven.version == version), None)

    def _fetch(self, use_case: str, version: int) -> ServedVersion:
        """Always from the registry: a folder in the cache may be of another registry's version of that number."""
        with self._fetcher.fetched(use_case, version) as (served, staged):
            with _cache_trouble(use_case, version):
                self._cache.put(use_case, version, staged)
            return served

    def _serve(self, use_case: str, served: ServedVersion) -> bool:
        with self._still_offered(use_case, served.version) as is_offered:
            if is_offered:
                self._taken[use_case] = served.version
                others = [proven for proven in self._verified.get(use_case, []) if proven is not served]
                self._verified[use_case] = [served, *others[: VERSIONS_IN_MEMORY - 1]]
                sentence = f"version {served.version} is in production and has proven itself on its example"
                self._in_loop(self._models.serve, use_case, served, sentence)
                with _cache_trouble(use_case, served.version):
                    self._cache.point(use_case, served.version)
        return True

    def _in_loop(self, change: Callable[..., None], *arguments: object) -> None:
        in_loop(self._loop, change, *arguments)


def in_loop(loop: asyncio.AbstractEventLoop, change: Callable[..., None], *arguments: object) -> None:
    """Has a function called in the event loop's thread, from another one."""
    # A loop that has ended needs no news.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(change, *arguments)


def _challengers(offered: Mapping[str, Offered]) -> dict[str, int]:
    """The challengers of what is in production; what is promoted has both aliases for a moment."""
    return {
        use_case: versions.challenger
        for use_case, versions in offered.items()
        if versions.challenger is not None and versions.production not in (None, versions.challenger)
    }


@contextmanager
def _cache_trouble(use_case: str, version: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # It answers from memory all the same.
        LOGGER.warning("%s: version %d cannot be kept for the next start: %s", use_case, version, error)

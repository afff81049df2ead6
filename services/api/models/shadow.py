"""The challenger is asked what production has answered, so that people can compare the two before they promote.

It is asked after the answer was sent, some records at a time, while the process has time for it. No request waits for
that or fails of it: what waits has a bound, and what is beyond it, or cannot be kept, is dropped and counted. What it
says is kept in `predictions` with the role `shadow` and the id of the answer that it stands beside.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, NamedTuple

from modelyard.contract import Contract
from services.api import metrics
from services.api.errors import InferenceError
from services.api.inputs.base import Question
from services.api.limits.traffic import Traffic
from services.api.log.database import DATABASE_ERRORS, Connection, unavailable
from services.api.log.prediction_log import TABLE, PredictionLog
from services.api.log.rows import SHADOW, Row
from services.api.models.answers import make_row
from services.api.models.served import Models, ServedVersion

LOGGER = logging.getLogger(__name__)

# Of each use case; what is beyond is dropped. A batch of the usual limit has its place; a picture can take megabytes.
MOST_WAITING = 10_000
MOST_FILES_WAITING = 20
# So many are answered and kept together, and then others have their turn for so long.
ASKED_AT_ONCE = 100
FILES_ASKED_AT_ONCE = 1
PAUSE_SECONDS = 0.025
# With so many requests under way the process has no time for challengers.
BUSY_REQUESTS = 8
STATEMENT_SECONDS = 10.0
AGAIN_SECONDS = 1.0
COLUMNS = (*Row._fields, "shadows")


class Challenger(NamedTuple):
    """A version at the gate.

    Attributes:
        version: Its number in the registry.
        detail: A sentence about it.
        served: The version, once it has proven itself.
        is_asked: Whether it is asked what production is asked.
    """

    version: int
    detail: str
    served: ServedVersion | None = None
    is_asked: bool = False


class Shadow:
    """A challenger beside the version in production, and what it has not been asked yet.

    Args:
        production: The version that answers.
        challenger: The version that is asked after it.
    """

    def __init__(self, production: ServedVersion, challenger: ServedVersion) -> None:
        self.production = production
        self.challenger = challenger
        self._waiting: deque[tuple[Question, str]] = deque()
        files = challenger.reader.takes_files
        self._most_waiting = MOST_FILES_WAITING if files else MOST_WAITING
        self._asked_at_once = FILES_ASKED_AT_ONCE if files else ASKED_AT_ONCE
        self._has_failed = False

    @property
    def waits(self) -> bool:
        """Whether there is something to ask."""
        return bool(self._waiting)

    def add(self, questions: Sequence[Question], request_ids: Sequence[str]) -> None:
        """Takes what production has answered, as far as there is room."""
        room = self._most_waiting - len(self._waiting)
        self._waiting.extend(islice(zip(questions, request_ids, strict=True), room))
        self._count("dropped", max(len(questions) - room, 0))

    def end(self) -> None:
        """Drops what waits."""
        self._count("dropped", len(self._waiting))
        self._waiting.clear()

    async def ask_some(self, line: Connection) -> None:
        """Asks the challenger what was answered first, and keeps what it says.

        Args:
            line: Of the database. One of DATABASE_ERRORS is raised when it does not take what was said.
        """
        group = [self._waiting.popleft() for _ in range(min(self._asked_at_once, len(self._waiting)))]
        started = time.perf_counter()
        answers = await self.challenger.ask_some([question for question, _ in group])
        latency_ms = (time.perf_counter() - started) * 1000
        rows = [
            (*make_row(self.challenger, question, answer, latency_ms, SHADOW), request_id)
            for (question, request_id), answer in zip(group, answers, strict=True)
            if not isinstance(answer, InferenceError)
        ]
        self._note_failures([answer for answer in answers if isinstance(answer, InferenceError)])
        if rows:
            await self._keep(rows, line)

    async def _keep(self, rows: Sequence[tuple[Any, ...]], line: Connection) -> None:
        try:
            async with line.use() as connection:
                await connection.copy_records_to_table(TABLE, records=rows, columns=COLUMNS)
        except DATABASE_ERRORS:
            self._count("log_failed", len(rows))
            raise
        self._count("kept", len(rows))

    def _note_failures(self, failures: Sequence[InferenceError]) -> None:
        self._count("model_error", len(failures))
        # Once: the next requests may all be of the same kind.
        if failures and not self._has_failed:
            LOGGER.warning("the challenger: %s", failures[0])
            self._has_failed = True

    def _count(self, outcome: str, records: int) -> None:
        metrics.note_shadowed(self.challenger.contract.use_case, str(self.challenger.version), outcome, records)


class Shadows:
    """The challengers of all use cases. Belongs to the event loop's thread.

    Args:
        url: Of `raw_data`.
        models: What is in production.
        log: Where production's answers are kept; while it has trouble, challengers wait.
        traffic: What comes in; while it is much, challengers wait.
    """

    def __init__(self, url: str, models: Models, log: PredictionLog, traffic: Traffic) -> None:
        self._models = models
        self._log = log
        self._traffic = traffic
        # Of its own, so that no answer waits for a connection.
        self._line = Connection(url, STATEMENT_SECONDS)
        self._challengers: dict[str, Challenger] = {}
        self._shadows: dict[str, Shadow] = {}
        self._wanted = asyncio.Event()
        self._trouble: str | None = None
        models.on_change(self._pair_all)

    def challenger(self, use_case: str) -> Challenger | None:
        """The version at the gate, if there is one."""
        return self._challengers.get(use_case)

    def challenge(self, use_case: str, challenger: Challenger) -> None:
        """Notes the version at the gate, or how far it is; one that was there before is asked no more."""
        self._end(use_case)
        self._put(use_case, challenger)
        self._pair(use_case)

    def withdraw(self, use_case: str) -> None:
        """Notes that there is no version at the gate any more."""
        self._end(use_case)
        challenger = self._challengers.pop(use_case, None)
        if challenger:
            LOGGER.info("%s: version %d is no longer the challenger", use_case, challenger.version)

    def add(self, served: ServedVersion, questions: Sequence[Question], request_ids: Sequence[str]) -> None:
        """Has the challenger asked, when there is one, what a version has answered.

        Args:
            served: The version.
            questions: What it was asked.
            request_ids: Of its answers.
        """
        shadow = self._shadows.get(served.contract.use_case)
        if shadow is not None and shadow.production is served:
            shadow.add(questions, request_ids)
            self._wanted.set()

    async def run(self) -> None:
        """Asks until it is cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(PAUSE_SECONDS)
            if self._is_busy:
                continue
            for shadow in list(self._shadows.values()):
                # It may have ended while another one was asked.
                if shadow.waits:
                    await self._ask(shadow)
            if not any(shadow.waits for shadow in self._shadows.values()):
                self._wanted.clear()

    def close(self) -> None:
        """Ends its connection; what waits is dropped."""
        for use_case in list(self._shadows):
            self._end(use_case)
        self._line.close()

    @property
    def _is_busy(self) -> bool:
        return self._log.trouble is not None or self._traffic.under_way >= BUSY_REQUESTS

    async def _ask(self, shadow: Shadow) -> None:
        try:
            await shadow.ask_some(self._line)
        except DATABASE_ERRORS as error:
            self._note_trouble(unavailable(self._line.url, error))
            await asyncio.sleep(AGAIN_SECONDS)
        except Exception:
            # The task's outermost edge: one group may fail, the next ones must be tried.
            LOGGER.exception("a challenger could not be asked")
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            self._note_trouble(None)

    def _note_trouble(self, trouble: str | None) -> None:
        if trouble and not self._trouble:
            LOGGER.warning("what challengers say is not kept: %s", trouble)
        self._trouble = trouble

    def _pair_all(self) -> None:
        for use_case in list(self._challengers):
            self._pair(use_case)

    def _pair(self, use_case: str) -> None:
        """Has the challenger asked from now on, if it can answer what the version in production can."""
        challenger, production = self._challengers[use_case], self._models.served().get(use_case)
        shadow, version = self._shadows.get(use_case), challenger.version
        if shadow and shadow.production is production:
            return
        self._end(use_case)
        if challenger.served is None or production is None or production.version == version:
            return
        objections = _objections(production.contract, challenger.served.contract)
        if objections:
            detail = f"version {version} cannot be asked what version {production.version} is: {'; '.join(objections)}"
        else:
            detail = f"version {version} is asked what version {production.version} is"
            self._shadows[use_case] = Shadow(production, challenger.served)
        self._put(use_case, challenger._replace(detail=detail, is_asked=not objections))

    def _end(self, use_case: str) -> None:
        if shadow := self._shadows.pop(use_case, None):
            shadow.end()

    def _put(self, use_case: str, challenger: Challenger) -> None:
        before = self._challengers.get(use_case)
        if before is None or before.detail != challenger.detail:
            LOGGER.info("%s: the challenger: %s", use_case, challenger.detail)
        self._challengers[use_case] = challenger


def _objections(production: Contract, challenger: Contract) -> list[str]:
    """Why a challenger cannot be asked what was read for the version in production."""
    # Only here: clients send pictures of any size, but these are the pixels that production's reader has made.
    shapes = {feature.name: feature.shape for feature in production.features}
    reshaped = [each.name for each in challenger.features if each.shape != shapes.get(each.name)]
    return production.breaking_changes(challenger) + [f"feature {name} has another shape" for name in reshaped]

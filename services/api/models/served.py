"""The versions that answer: one proven version a use case, swapped while requests are under way."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

import numpy as np

from modelyard.contract import Answer, Contract
from modelyard.models.onnx.compiled import GRAPH_ERRORS, CompiledModel, Scores, first_line
from services.api import metrics
from services.api.errors import InferenceError, NoModel, UseCaseNotFound
from services.api.inputs.base import Question, Reader
from services.api.inputs.readers import make_reader

LOGGER = logging.getLogger(__name__)

# Of one model: a decoded picture takes up to some hundred megabytes.
FILES_AT_A_TIME = 2
# What is longer is read in a thread.
READ_AT_ONCE_BYTES = 16 * 1024

Tell = Callable[[Answer | InferenceError], None]


class SelfTest(StrEnum):
    """How the version in production answered its example."""

    OK = "ok"
    FAILED = "failed"


class ServedVersion:
    """A proven version of a model that answers requests.

    Requests that wait in the same turn of the event loop are answered by one call of the model.

    Attributes:
        version: Its number in the registry.
        contract: What it takes and gives.
        reader: Reads the bodies of requests for it.
        loaded_at: When this process loaded it.
    """

    def __init__(self, version: int, model: CompiledModel) -> None:
        self.version = version
        self.contract: Contract = model.contract
        self.reader: Reader = make_reader(model.contract)
        self.loaded_at = datetime.now(UTC)
        self._model = model
        self._waiting: list[tuple[Question, Tell]] = []
        self._threads = asyncio.Semaphore(FILES_AT_A_TIME)
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, body: bytes, content_type: str) -> Question:
        """The question in a body.

        Raises:
            RequestError: There is none that the model can answer.
        """
        if not self.reader.takes_files and len(body) <= READ_AT_ONCE_BYTES:
            return self.reader.read(body, content_type)
        async with self._threads:
            return await asyncio.to_thread(self.reader.read, body, content_type)

    async def read_all(self, body: bytes, content_type: str, most: int) -> list[Question]:
        """The questions in a body that has many, read in parts between which others have their turn.

        Raises:
            RequestError: One of them is none that the model can answer.
        """
        questions: list[Question] = []
        parts = self.reader.read_all(body, content_type, most)
        if self.reader.takes_files:
            async with self._threads:
                while part := await asyncio.to_thread(next, parts, None):
                    questions += part
            return questions
        # Not in a thread: a part takes a millisecond, and a thread would hold the interpreter for five at a time.
        for part in parts:
            questions += part
            await asyncio.sleep(0)
        return questions

    async def ask_all(self, questions: list[Question]) -> list[Answer]:
        """What the model says of some questions: all of them, or none.

        Raises:
            InferenceError: The model fails on one of them.
        """
        answers: list[Answer] = []
        for answer in await self.ask_some(questions):
            if isinstance(answer, InferenceError):
                raise answer
            answers.append(answer)
        return answers

    async def ask_some(self, questions: list[Question]) -> list[Answer | InferenceError]:
        """What the model says of some questions, in a thread: it leaves the interpreter to others while it computes."""
        try:
            scores = await asyncio.to_thread(self._model.scores, self.reader.arrays(questions))
        except GRAPH_ERRORS as error:
            return [self._no_answer(first_line(error)) for _ in questions]
        return self._said(scores)

    def ask(self, question: Question, tell: Tell) -> None:
        """Has a question answered at the end of this turn of the loop, together with all others of the turn.

        A question with a file is answered in a thread, since a network takes longer than others should wait.

        Args:
            question: The question.
            tell: Called with the answer, or with why there is none. It must not raise.
        """
        if self.reader.takes_files:
            task = asyncio.get_running_loop().create_task(self._answer_in_thread(question, tell))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._answer_waiting)
        self._waiting.append((question, tell))

    def answer_all(self, questions: list[Question]) -> list[Answer | InferenceError]:
        """What the model says of some questions, at once."""
        try:
            return self._answers(questions)
        except Exception as error:
            # The model's outermost edge: whatever goes wrong in it, no request may wait for ever.
            LOGGER.exception("version %d of %s failed", self.version, self.contract.use_case)
            return [self._no_answer(first_line(error)) for _ in questions]

    def _answer_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        answers = self.answer_all([question for question, _ in waiting])
        for (_, tell), answer in zip(waiting, answers, strict=True):
            tell(answer)

    async def _answer_in_thread(self, question: Question, tell: Tell) -> None:
        async with self._threads:
            [answer] = await asyncio.to_thread(self.answer_all, [question])
        tell(answer)

    def _answers(self, questions: list[Question]) -> list[Answer | InferenceError]:
        return self._said(self._model.scores(self.reader.arrays(questions)))

    def _said(self, scores: Scores) -> list[Answer | InferenceError]:
        answers: list[Answer | InferenceError] = [*self.contract.answers(scores)]
        finite = np.isfinite(scores)
        if not finite.all():
            for place in np.flatnonzero(~finite.all(axis=1)):
                answers[place] = self._no_answer("a score is not a finite number")
        return answers

    def _no_answer(self, reason: str) -> InferenceError:
        return InferenceError(
            f"version {self.version} of {self.contract.use_case} has no answer to this record: {reason}"
        )


@dataclass(frozen=True)
class UseCaseState:
    """What this process does for a use case.

    Attributes:
        use_case: Its name.
        served: The version that answers, if one does.
        target_version: The newest version in production that this process has tried to take.
        self_test: How that version answered its example; None: nothing was tried yet.
        detail: A sentence for people: what was tried last, or is being tried.
    """

    use_case: str
    served: ServedVersion | None = None
    target_version: int | None = None
    self_test: SelfTest | None = None
    detail: str = "no version is in production yet"

    @property
    def version(self) -> int | None:
        """The version that answers."""
        return self.served.version if self.served else None


class Models:
    """What is served, by use case. Belongs to the event loop's thread.

    Args:
        default_use_case: Known even before anything is in production.
    """

    def __init__(self, default_use_case: str) -> None:
        self.default_use_case = default_use_case
        self._states = {default_use_case: UseCaseState(default_use_case)}
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Has a function called after every change."""
        self._listeners.append(listener)

    def serving(self, use_case: str) -> ServedVersion:
        """The version that answers for a use case now.

        Raises:
            UseCaseNotFound: There is no such use case; the message lists those there are.
            NoModel: None of its versions can answer; the message says why.
        """
        self.check_known(use_case)
        state = self._states[use_case]
        if state.served is None:
            raise NoModel(f"{use_case} cannot be answered: {state.detail}")
        return state.served

    def check_known(self, use_case: str) -> None:
        """Returns when there is a use case of that name, whether it is served or not.

        Raises:
            UseCaseNotFound: There is none; the message lists those there are.
        """
        if use_case not in self._states:
            raise UseCaseNotFound(f"there is no use case {use_case!r}; there are: {', '.join(sorted(self._states))}")

    def states(self) -> list[UseCaseState]:
        """The state of every known use case, by name."""
        return [self._states[name] for name in sorted(self._states)]

    def served(self) -> dict[str, ServedVersion]:
        """The versions that answer, by use case."""
        return {state.use_case: state.served for state in self.states() if state.served}

    def know(self, use_case: str) -> None:
        """Notes that there is such a use case, whether it is served or not."""
        self._put(self._state(use_case), logging.INFO)

    def serve(self, use_case: str, served: ServedVersion, detail: str) -> None:
        """Swaps a proven version in. Requests under way finish on the version that took them."""
        if self._state(use_case).version != served.version:
            metrics.SWAPS.labels(use_case).inc()
        self._put(UseCaseState(use_case, served, served.version, SelfTest.OK, detail), logging.INFO)

    def refuse(self, use_case: str, version: int, detail: str) -> None:
        """Notes that a version cannot be served; the one that answers goes on."""
        state = replace(self._state(use_case), target_version=version, self_test=SelfTest.FAILED, detail=detail)
        self._put(state, logging.ERROR)

    def note(self, use_case: str, detail: str) -> None:
        """Notes how far a version in production is that was not tried yet."""
        self._put(replace(self._state(use_case), detail=detail), logging.INFO)

    def forget(self, use_case: str) -> None:
        """Notes that there is no such use case any more. Requests under way finish on the version that took them."""
        if self._states.pop(use_case, None):
            LOGGER.info("%s: the registry has it no longer", use_case)
        if use_case == self.default_use_case:
            self.know(use_case)
        for listener in self._listeners:
            listener()

    def _state(self, use_case: str) -> UseCaseState:
        return self._states.get(use_case, UseCaseState(use_case))

    def _put(self, state: UseCaseState, level: int) -> None:
        if state == self._states.get(state.use_case):
            return
        LOGGER.log(level, "%s: %s", state.use_case, state.detail)
        self._states[state.use_case] = state
        for listener in self._listeners:
            listener()

"""Requests that a client sends twice under one key: one row, one answer.

The key is claimed in the database together with the rows, so that of two processes one gets it and the other one gives
its answer. While the database is away, a key is known to the process that answered it, and to whoever adopts its spool.
"""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

from modelyard.stores.database import statement
from services.api.errors import IdempotencyConflict, InvalidRequest, PredictionNotLogged, Problem
from services.api.log.database import DATABASE_ERRORS, ConnectionPool, unavailable
from services.api.log.rows import Claim

LONGEST_KEY = 200
# Answers that are remembered, beside the database, each up to this size.
REMEMBERED = 10_000
LONGEST_REMEMBERED = 64 * 1024
# What is longer is hashed in a thread.
HASHED_AT_ONCE_BYTES = 64 * 1024

# Of a key: the caller, the use case, and the key.
Name = tuple[str, str, str]
Find = Callable[[Name], Awaitable[Claim | None]]


class ComputedResponse(Protocol):
    """What comes of working an answer out."""

    @property
    def body(self) -> bytes:
        """The answer's body."""

    @property
    def is_kept(self) -> bool:
        """Whether it is kept under the key."""


Compute = Callable[[], Awaitable[ComputedResponse]]


class StoredResponse(NamedTuple):
    """What was answered to a request with a key, and until when (by this machine's clock) that stands."""

    body_sha256: str
    answer: bytes
    until: float


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with a key.

    Attributes:
        caller: Who asks: each has keys of its own.
        use_case: What it asks for.
        key: The client's name for it.
        body_sha256: Hash of what it asks.
    """

    caller: str
    use_case: str
    key: str
    body_sha256: str

    @classmethod
    async def of(cls, caller: str, use_case: str, key: str, kind: str, body: bytes) -> "Asked":
        """A request as it came in.

        Raises:
            InvalidRequest: The key cannot be one.
        """
        if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            sentence = f"Idempotency-Key must be 1 to {LONGEST_KEY} printable ASCII characters"
            raise InvalidRequest([Problem(type="idempotency_key", loc=["header", "Idempotency-Key"], msg=sentence)])
        hashed = hashlib.sha256(kind.encode() + b"\n")
        if len(body) > HASHED_AT_ONCE_BYTES:
            await asyncio.to_thread(hashed.update, body)
        else:
            hashed.update(body)
        return cls(caller, use_case, key, hashed.hexdigest())

    @property
    def name(self) -> Name:
        """What tells its key from others'."""
        return self.caller, self.use_case, self.key

    def claim(self, request_id: str, answer: bytes) -> Claim:
        """What is kept of it with its answer."""
        now = datetime.now(UTC)
        return Claim(self.use_case, self.key, self.body_sha256, request_id, answer.decode(), now, self.caller)


class IdempotencyStore:
    """Knows the keys that were used.

    Args:
        lines: Connections to `raw_data`.
        find_spooled: Finds what is still on the way to the database.
        seconds: For how long a key stands for its request.
    """

    def __init__(self, lines: ConnectionPool, find_spooled: Find, seconds: float) -> None:
        self._lines = lines
        self._find_spooled = find_spooled
        self._seconds = seconds
        self._find = statement("find_idempotency_key").text
        self._known: OrderedDict[Name, StoredResponse] = OrderedDict()
        self._under_way: dict[Name, tuple[str, asyncio.Future[None]]] = {}

    async def get_or_compute(self, asked: IdempotentRequest, answer: Compute) -> bytes:
        """The answer to a request, which is worked out unless it was before.

        Args:
            asked: The request.
            answer: Works the answer out and has it kept with the key; tells whether the key was still free.

        Raises:
            IdempotencyConflict: The key stands for another request.
            PredictionNotLogged: The key was used, and what was answered then cannot be found now.
        """
        name = asked.name
        while running := self._under_way.get(name):
            _check_same(asked, running[0])
            await asyncio.shield(running[1])
        if known := self._remembered(name):
            _check_same(asked, known.body_sha256)
            return known.answer
        done = asyncio.get_running_loop().create_future()
        self._under_way[name] = asked.body_sha256, done
        try:
            return await self._work_out(asked, answer)
        finally:
            del self._under_way[name]
            done.set_result(None)

    async def _work_out(self, asked: IdempotentRequest, answer: Compute) -> bytes:
        spooled = await self._find_spooled(asked.name)
        if spooled and (datetime.now(UTC) - spooled.created_at).total_seconds() < self._seconds:
            _check_same(asked, spooled.body_sha256)
            return spooled.answer.encode()
        worked = await answer()
        if worked.is_kept:
            self._remember(asked.name, asked.body_sha256, worked.body)
            return worked.body
        return await self._answer_before(asked)

    async def _answer_before(self, asked: IdempotentRequest) -> bytes:
        try:
            async with self._lines.use() as connection:
                found = await connection.fetchrow(self._find, *asked.name)
        except DATABASE_ERRORS as error:
            raise PredictionNotLogged(
                f"the key was used before, and its answer cannot be read: {unavailable(self._lines.url, error)}"
            ) from error
        if found is None:
            raise PredictionNotLogged("the key was used before, and has just expired")
        _check_same(asked, found["body_sha256"])
        return str(found["answer"]).encode()

    def _remembered(self, name: Name) -> StoredResponse | None:
        known = self._known.get(name)
        return known if known and known.until > time.monotonic() else None

    def _remember(self, name: Name, body_sha256: str, answer: bytes) -> None:
        if len(answer) > LONGEST_REMEMBERED:
            return
        self._known[name] = StoredResponse(body_sha256, answer, time.monotonic() + self._seconds)
        self._known.move_to_end(name)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


def _check_same(asked: IdempotentRequest, body_sha256: str) -> None:
    if body_sha256 != asked.body_sha256:
        raise IdempotencyConflict(f"the Idempotency-Key {asked.key!r} was used for another request to {asked.use_case}")

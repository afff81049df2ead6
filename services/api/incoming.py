"""A request for predictions as it comes in: what it asks for, its headers and its body."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Receive, Scope
from uuid_utils import uuid7

from services.api.errors import BodyTooLarge, FromAnotherSite
from services.api.questions import is_json
from services.api.trace import trace_id

PATH = "/predict"
BATCH = "/batch"


class ClientLeft(Exception):
    """The client has closed its connection before it had sent the whole body."""


class Incoming:
    """A request.

    Args:
        scope: As ASGI has it.

    Attributes:
        use_case: What it names; empty: the default one.
        is_batch: Whether it asks for many records at once.
        content_type: What its body is said to be.
        version: The version that took it, once one has.
        records: How many records were answered.
    """

    __slots__ = ("_headers", "_scope", "_started", "content_type", "is_batch", "path", "records", "use_case", "version")

    def __init__(self, scope: Scope) -> None:
        self._started = time.perf_counter()
        self.path: str = scope["path"]
        rest = self.path[len(PATH) :].rstrip("/")
        self.is_batch = rest.endswith(BATCH)
        self.use_case = rest.removesuffix(BATCH).lstrip("/")
        self.version = ""
        self.records = 1
        self._scope = scope
        self._headers: Mapping[bytes, bytes] = dict(scope["headers"])
        self.content_type = self._headers.get(b"content-type", b"").decode("latin-1")

    @property
    def seconds(self) -> float:
        """How long ago it came."""
        return time.perf_counter() - self._started

    @property
    def idempotency_key(self) -> str | None:
        """The client's name for it, if it gave one."""
        key = self._headers.get(b"idempotency-key")
        return None if key is None else key.decode("latin-1")

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to."""
        return trace_id(self._scope["headers"])

    def check_is_ours(self) -> None:
        """Refuses what a page of another site sends: of a form, the browser does not ask first whether it may.

        Raises:
            FromAnotherSite: It comes from such a page.
        """
        origin = self._headers.get(b"origin")
        if origin is None or is_json(self.content_type):
            return
        if urlsplit(origin).netloc != self._headers.get(b"host"):
            raise FromAnotherSite(f"a page of {origin.decode('latin-1')} cannot send forms to this service")

    async def body(self, receive: Receive, limit: int) -> bytes:
        """The whole body.

        Raises:
            BodyTooLarge: It is longer than the limit.
            ClientLeft: It never came.
        """
        announced = self._headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, not {announced.decode()}")
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientLeft
            chunk = message.get("body", b"")
            more = message.get("more_body", False)
            size += len(chunk)
            if size > limit:
                raise BodyTooLarge(f"the body may have {limit} bytes, not more")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def new_request_id() -> str:
    """An id for a request that gets no row."""
    return str(uuid7())

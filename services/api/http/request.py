"""A request for predictions as it comes in: what it asks for, its headers and its body."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Receive, Scope
from uuid_utils import uuid7

from services.api.errors import BodyTooLarge, CrossSiteRequest
from services.api.http.trace import trace_id
from services.api.inputs.base import is_json
from services.api.limits.bodies import SMALL_BYTES, Bodies, Held

PATH = "/predict"
BATCH = "/batch"
HTTP_REQUEST = "http.request"


class Incoming:
    """A request.

    Args:
        scope: As ASGI has it.
        caller: Who asks, as far as callers are told apart.

    Attributes:
        caller: The same.
        use_case: What it names; empty: the default one.
        is_batch: Whether it asks for many records at once.
        content_type: What its body is said to be.
        version: The version that took it, once one has.
        records: How many records were answered.
    """

    __slots__ = (
        "_headers",
        "_held",
        "_scope",
        "_started",
        "caller",
        "content_type",
        "is_batch",
        "path",
        "records",
        "use_case",
        "version",
    )

    def __init__(self, scope: Scope, caller: str) -> None:
        self._started = time.perf_counter()
        self.path: str = scope["path"]
        rest = self.path[len(PATH) :].rstrip("/")
        self.is_batch = rest.endswith(BATCH)
        self.use_case = rest.removesuffix(BATCH).lstrip("/")
        self.version = ""
        self.records = 1
        self.caller = caller
        self._scope = scope
        self._held: Held | None = None
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
            raise CrossSiteRequest(f"a page of {origin.decode('latin-1')} cannot send forms to this service")

    async def body(self, receive: Receive, limit: int, bodies: Bodies) -> bytes:
        """The whole body, which counts in `bodies` until `let_go`.

        Raises:
            BodyTooLarge: It is longer than the limit.
            SlowBody: It comes too slowly.
            Overloaded: There is no room for it.
            ClientLeft: It never came.
        """
        announced = self._headers.get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, not {announced.decode()}")
        message = await receive()
        body: bytes = message.get("body", b"")
        if len(body) <= min(SMALL_BYTES, limit) and not message.get("more_body") and message["type"] == HTTP_REQUEST:
            return body
        client = self._scope.get("client")
        self._held = bodies.hold(client[0] if client else "")
        if self._held.add(message, limit):
            return await bodies.rest(self._held, receive, limit)
        return self._held.whole()

    def let_go(self) -> None:
        """Is called when it is answered."""
        if self._held:
            self._held.let_go()


def new_request_id() -> str:
    """An id for a request that gets no row."""
    return str(uuid7())

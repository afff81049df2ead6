"""W3C trace context: the trace that a request says it belongs to, passed on to its answer and to the log."""

import re
from collections.abc import Iterable

from starlette.types import Message, Scope, Send

Headers = Iterable[tuple[bytes, bytes]]

PARENT = b"traceparent"
STATE = b"tracestate"
# https://www.w3.org/TR/trace-context/: version (ff is none), trace and parent (not of zeros alone), flags.
VALID = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def trace_id(headers: Headers) -> str | None:
    """The trace of a request; None: it names none, or not as it must be named."""
    parents = [value for name, value in headers if name == PARENT]
    found = VALID.fullmatch(parents[0]) if len(parents) == 1 else None
    return found[1].decode() if found else None


def passing_on(scope: Scope, send: Send) -> Send:
    """What sends the answer to a request, with the trace context of the request if it has a valid one."""
    headers: list[tuple[bytes, bytes]] = scope.get("headers", [])
    if trace_id(headers) is None:
        return send
    context = [header for header in headers if header[0] in (PARENT, STATE)]

    async def send_with_context(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *context]
        await send(message)

    return send_with_context

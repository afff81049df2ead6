"""What a browser sends after a foreign name was made to resolve to a service here (DNS rebinding)."""

import http.client
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

FOREIGN = "evil.example"
PATIENCE_SECONDS = 60
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "bW9kZWx5YXJkLXRlc3RzLQ==",
}


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: The HTTP status.
        body: The body, or its beginning.
    """

    status: int
    body: bytes


def ask(
    url: str,
    hosts: Sequence[str] = (FOREIGN,),
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    target: str | None = None,
) -> Answer:
    """Asks whoever listens at the address in the URL.

    Args:
        url: Where, with a path.
        hosts: One header Host for each.
        method: The method.
        body: The body.
        headers: More headers.
        target: What the first line of the request asks for; None: the path in the URL.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=PATIENCE_SECONDS)
    try:
        connection.putrequest(method, target or urlunsplit(("", "", *address[2:])), skip_host=True)
        more = {"Content-Length": str(len(body))} if body is not None else {}
        for name, value in [*(("Host", host) for host in hosts), *(headers or {}).items(), *more.items()]:
            connection.putheader(name, value)
        connection.endheaders(body)
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(10_000))
    finally:
        connection.close()


def open_websocket(url: str, host: str, *protocols: str) -> int:
    """The status that a WebSocket gets which a page of that host opens: 101 when it is opened."""
    more = {"Sec-WebSocket-Protocol": ", ".join(protocols)} if protocols else {}
    return ask(url, [host], headers={**UPGRADE, "Origin": f"http://{host}", **more}).status

"""By which names the services may be reached, and the refusal of all others.

A page of a foreign site can have its own name resolve to 127.0.0.1 a moment after it was loaded (DNS rebinding). For
the browser, the services here are then that site, and its scripts may read what they answer. But the browser still
sends the foreign name in the header Host: a service that knows its own names does not answer.

An address is always right: whoever sends one in the header has connected to that address, and to no name of anybody's.
"""

import ipaddress
import json
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

STATUS = HTTPStatus.MISDIRECTED_REQUEST
REFUSAL = (
    "the Host header of this request does not name this service: use localhost or an IP address, "
    "or add the name to ALLOWED_HOSTS"
)
LOCAL_NAME = "localhost"
NAME = r"[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?"
# What a browser can send, and no more: a name, an IPv4 address or an IPv6 one in brackets, perhaps with a port.
VALUE = re.compile(rb"(?:\[([0-9a-f:.]+)\]|(%b)\.?)(?::[0-9]{1,5})?" % NAME.encode(), re.IGNORECASE)
# Verdicts that are remembered; services are reached under a handful of values.
REMEMBERED = 128
# How a WebSocket is closed to whom it is not meant for (RFC 6455, "policy violation").
POLICY_VIOLATION = 1008


def split_names(text: str) -> list[str]:
    """Names and addresses that are separated by commas, in lower case.

    Args:
        text: As a person writes them. Nothing between two commas is left out.

    Raises:
        ValueError: One of them is neither a name nor an address.
    """
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    for name in names:
        if not re.fullmatch(NAME, name) and not is_address(name):
            raise ValueError(
                f"{name} is neither a name nor an IP address: write them without scheme, port or *, separated by commas"
            )
    return names


def is_address(host: str) -> bool:
    """Whether it is an IP address, without brackets, as every program writes it."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def reachable_url(bind_address: str) -> str:
    """The beginning of the URL at which this machine reaches what is bound to an address, without the port."""
    # What is bound to all of IPv6 need not answer on IPv4.
    address = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(bind_address, bind_address)  # noqa: S104
    return f"http://[{address}]" if ":" in address else f"http://{address}"


class AllowedHosts:
    """What may stand in the header Host: these names, localhost, and every IP address; each with any port.

    Args:
        names: In any case.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {LOCAL_NAME, *(name.lower() for name in names)}
        # A request is judged in well under a microsecond, and what strangers send takes no memory.
        self._knows = lru_cache(REMEMBERED)(self._judge)

    def allow(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request is meant for this service.

        Args:
            headers: Its headers, as ASGI has them: names in lower case. One without Host is let in: it comes from a
                probe, for no browser leaves it out. One with two is not.
        """
        found = None
        for name, value in headers:
            if name == b"host":
                if found is not None:
                    return False
                found = value
        return found is None or self._knows(found)

    def _judge(self, value: bytes) -> bool:
        found = VALUE.fullmatch(value)
        if not found:
            return False
        in_brackets, name = (part.decode().lower() if part else "" for part in found.groups())
        return name in self._names or is_address(in_brackets or name)


class HostCheck:
    """ASGI middleware: passes on what is meant for this service, and answers the rest itself.

    Args:
        app: Answers the requests.
        hosts: What may stand in the header Host.
    """

    def __init__(self, app: Application, hosts: AllowedHosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or refuses it; a WebSocket is closed before it is opened."""
        if scope["type"] == "lifespan" or self._hosts.allow(scope["headers"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})
        else:
            await _refuse(send)


async def _refuse(send: Send) -> None:
    body = json.dumps({"detail": REFUSAL}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": STATUS.value, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def mlflow_variables(names: Iterable[str]) -> dict[str, str]:
    """The environment variables by which an MLflow server lets in the same hosts.

    Its patterns are those of file names. By its own defaults, among them `10.*`, it lets in 10.example.org, too.

    Args:
        names: Names, and addresses of which MLflow's pages are to send changes.
    """
    own = [LOCAL_NAME, *names]
    # A name never ends in a number, nor begins with a bracket; addresses do.
    addresses = ["[[]*]", *(f"*.{'[0-9]' * digits}" for digits in (1, 2, 3))]
    hosts = [pattern for host in own for pattern in _with_any_port(host)]
    hosts += [pattern for address in addresses for pattern in (address, f"{address}:*")]
    # From pages of MLflow under another name than localhost, changes would be refused otherwise.
    origins = [
        f"{scheme}://{pattern}" for scheme in ("http", "https") for host in own for pattern in _with_any_port(host)
    ]
    return {
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins),
    }


def _with_any_port(host: str) -> tuple[str, str]:
    # What has no star is compared as it is; elsewhere a bracket opens a choice of letters.
    if ":" in host:
        return f"[{host}]", f"[[]{host}]:*"
    return host, f"{host}:*"

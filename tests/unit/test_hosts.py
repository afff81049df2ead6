"""By which values of the header Host a service is reached."""

import asyncio
import fnmatch
from collections.abc import Sequence
from typing import Any

import pytest

from modelyard.errors import BadInput
from modelyard.hosts import AllowedHosts, HostCheck, Message, Receive, Scope, Send, mlflow_variables, reachable_url
from modelyard.settings import read_settings

HOSTS = AllowedHosts(["ml.example.org", "API"])

RIGHT = [
    b"localhost",
    b"LocalHost:8086",
    b"localhost.",
    b"localhost.:8086",
    b"127.0.0.1:8086",
    b"10.0.0.5",
    b"203.0.113.9:443",
    b"[::1]",
    b"[::1]:8086",
    b"[FE80::1]:8086",
    b"[::ffff:127.0.0.1]:80",
    b"ml.example.org",
    b"ML.example.ORG.:8443",
    b"api:8086",
]
FOREIGN = [
    b"",
    b".",
    b":8086",
    b"evil.example",
    b"evil.example:8086",
    b"localhost.evil.example",
    b"127.0.0.1.evil.example",
    b"10.evil.example",
    b"evil-localhost",
    b"a.ml.example.org",
    b"example.org",
    b"localhost..",
    b"localhost:",
    b"localhost:port",
    b"localhost:8086:8086",
    b"localhost:123456",
    b"localhost@evil.example",
    b"evil.example@localhost",
    b"user:word@localhost:8086",
    b"http://localhost",
    b"localhost/evil.example",
    b"localhost,evil.example",
    b"localhost evil.example",
    b" localhost",
    b"localhost\x00",
    b"localhost\n",
    b"loc\xc3\xa4lhost",
    b"\xff",
    b"::1",
    b"[::1",
    b"[::1]evil.example",
    b"[evil.example]",
    b"[127.0.0.1",
    b"[]",
    b"[fe80::1%25evil.example]",
    b"[localhost]",
    b"127.1",
    b"2130706433",
    b"0x7f.0.0.1",
    b"0177.0.0.1",
    b"1.2.3.4.5",
    b"256.0.0.1",
    b"*",
]


@pytest.mark.parametrize("value", RIGHT)
def test_its_own_names_and_addresses_are_right_with_any_port(value: bytes) -> None:
    assert HOSTS.allow([(b"host", value)])


@pytest.mark.parametrize("value", FOREIGN)
def test_everything_else_is_foreign(value: bytes) -> None:
    assert not HOSTS.allow([(b"host", value)])


def test_a_request_with_two_hosts_is_refused_and_one_with_none_is_a_probe() -> None:
    assert not HOSTS.allow([(b"host", b"localhost"), (b"host", b"evil.example")])
    assert not HOSTS.allow([(b"host", b"localhost"), (b"host", b"localhost")])
    assert HOSTS.allow([(b"accept", b"*/*")])


async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "answered", "scope": scope["type"]})


REFUSED = [("http.response.start", 421), ("http.response.body", None)]


@pytest.mark.parametrize(
    ("kind", "headers", "sent"),
    [
        ("http", [(b"host", b"localhost")], [("answered", None)]),
        ("http", [(b"host", b"evil.example")], REFUSED),
        ("http", [(b"accept", b"*/*"), (b"host", b"localhost"), (b"host", b"evil.example")], REFUSED),
        ("websocket", [(b"host", b"localhost")], [("answered", None)]),
        ("websocket", [(b"host", b"evil.example")], [("websocket.close", None)]),
        ("lifespan", None, [("answered", None)]),
    ],
)
def test_what_is_not_meant_for_a_service_does_not_reach_it(
    kind: str, headers: Sequence[tuple[bytes, bytes]] | None, sent: list[tuple[str, int | None]]
) -> None:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read of a request that is refused")

    scope: dict[str, Any] = {"type": kind} if headers is None else {"type": kind, "headers": headers}
    asyncio.run(HostCheck(answer, HOSTS)(scope, receive, send))
    assert [(message["type"], message.get("status")) for message in messages] == sent


def test_the_names_of_the_settings_are_taken_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", " ML.example.org,, box,10.0.0.5,fe80::1,")
    monkeypatch.setenv("BIND_ADDRESS", "Box.local")
    assert read_settings().host_names == ["ml.example.org", "box", "10.0.0.5", "fe80::1", "box.local"]


@pytest.mark.parametrize(
    "name", ["ml.example.org:8083", "http://ml.example.org", "*", "*.example.org", "a b", "localhost."]
)
def test_what_is_no_name_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", f"box,{name}")
    with pytest.raises(BadInput, match=r"ALLOWED_HOSTS: .* is neither a name nor an IP address: write them without"):
        read_settings()


def is_let_in_by_mlflow(value: str, variable: str = "MLFLOW_SERVER_ALLOWED_HOSTS") -> bool:
    """As MLflow compares them: see `is_allowed_host_header` in mlflow/server/security_utils.py."""
    patterns = mlflow_variables(["ml.example.org", "api", "fe80::1"])[variable].split(",")
    return any(fnmatch.fnmatch(value, each) if "*" in each else value == each for each in patterns)


@pytest.mark.parametrize(
    ("origin", "is_right"),
    [
        ("http://ml.example.org:8083", True),
        ("https://ml.example.org", True),
        ("http://[fe80::1]", True),
        ("http://[fe80::1]:8083", True),
        ("http://f:8083", False),
        ("http://10.1.2.3:8083", False),
        ("http://ml.example.org.evil.example", False),
        ("http://evil.example", False),
        ("null", False),
    ],
)
def test_pages_under_the_names_alone_may_change_things_in_mlflow(origin: str, is_right: bool) -> None:
    assert is_let_in_by_mlflow(origin, "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS") == is_right


# It compares letter by letter, and knows no dot at the end.
OTHER_SPELLINGS = {b"LocalHost:8086", b"localhost.", b"localhost.:8086", b"ML.example.ORG.:8443"}


@pytest.mark.parametrize("value", [each.decode() for each in RIGHT if each not in OTHER_SPELLINGS])
def test_mlflow_lets_in_what_all_do_as_browsers_write_it(value: str) -> None:
    assert is_let_in_by_mlflow(value)


# Nobody can have such a name: browsers take what ends in a number for an address.
NOBODYS = {b"127.1", b"0x7f.0.0.1", b"0177.0.0.1", b"1.2.3.4.5", b"256.0.0.1"}
# A browser sends none of these.
NO_BROWSERS = {b"[evil.example]", b"[]", b"[fe80::1%25evil.example]", b"[localhost]", b"localhost:", b"localhost:port"}
NO_BROWSERS |= {b"localhost:8086:8086", b"localhost:123456", b"[127.0.0.1"}


@pytest.mark.parametrize(
    "value", [each.decode() for each in FOREIGN if each not in NOBODYS | NO_BROWSERS and each.isascii()]
)
def test_mlflow_lets_in_no_name_that_somebody_else_can_have(value: str) -> None:
    assert not is_let_in_by_mlflow(value)


@pytest.mark.parametrize(
    ("bound", "reached"),
    [
        ("127.0.0.1", "http://127.0.0.1"),
        ("192.168.1.7", "http://192.168.1.7"),
        ("0.0.0.0", "http://127.0.0.1"),  # noqa: S104
        ("::", "http://[::1]"),
        ("fd00::7", "http://[fd00::7]"),
        ("laptop.local", "http://laptop.local"),
    ],
)
def test_this_machine_reaches_a_service_where_it_is_bound(bound: str, reached: str) -> None:
    assert reachable_url(bound) == reached

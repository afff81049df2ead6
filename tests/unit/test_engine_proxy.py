"""What the engine's proxy passes on, and how: without an engine, against a socket that answers in its place."""

import ast
import asyncio
import json
import string
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import engine_proxy
import pytest
from engine_proxy import Platform, Proxy, Refused, Request, read_platform, read_request, translate
from hypothesis import given
from hypothesis import strategies as st

from modelyard.settings import STEP_SETTINGS

DAGS = Path(__file__).parents[2] / "dags" / "use_cases.py"
PLATFORM = Platform(("modelyard-steps:1", "modelyard-steps-extra:1"), "modelyard_default", "use-cases", "/use-cases")
ID = "0123456789abcdef" * 4
MOUNT = {"Target": "/use-cases", "Source": "use-cases", "Type": "volume", "ReadOnly": True}
ASKED: dict[str, Any] = {
    "Tty": False,
    "Env": ["DATA_URL=s3://data"],
    "Cmd": ["load", "--use-case", "iris"],
    "Image": "modelyard-steps:1",
    "HostConfig": {"NetworkMode": "modelyard_default", "PortBindings": {}, "CpuShares": 1024, "Mounts": [MOUNT]},
    "Labels": {"org.modelyard.step": "load"},
}
SENT: dict[str, Any] = {
    "Image": "modelyard-steps:1",
    "Cmd": ["load", "--use-case", "iris"],
    "Env": ["DATA_URL=s3://data"],
    "Labels": {"org.modelyard.step": "load"},
    "AttachStdout": True,
    "AttachStderr": True,
    "HostConfig": {
        "NetworkMode": "modelyard_default",
        "Mounts": [MOUNT],
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "PidsLimit": 4096,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
    },
}
TEXT = st.text("ab/:\\\u017f\u212a\x00\ud800", max_size=8)
KEYS = TEXT | st.sampled_from([*SENT, *SENT["HostConfig"], "Binds", "User"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)
# What a step chooses, right more often than not, and anything else.
CHOSEN = st.fixed_dictionaries(
    {},
    optional={
        "Cmd": st.lists(TEXT, max_size=3).map(lambda words: ["train", *words]),
        "Env": st.lists(st.tuples(st.sampled_from(sorted(engine_proxy.STEP_SETTINGS)), TEXT), max_size=3).map(
            lambda pairs: [f"{name}={value}" for name, value in pairs]
        ),
        "Labels": TEXT.map(lambda task: {"org.modelyard.step": task}) | JSON,
        "HostConfig": st.dictionaries(KEYS, JSON, max_size=2),
    },
)


def create(asked: Any) -> Any:
    """The body that the engine gets in place of this one."""
    request = Request("POST", "/v1.41/containers/create", json.dumps(asked).encode())
    return json.loads(translate(request, PLATFORM).content.partition(b"\r\n\r\n")[2])


def keys(value: Any) -> Any:
    """All keys of JSON objects, in each other."""
    return {key: keys(inner) for key, inner in value.items()} if isinstance(value, dict) else None


def test_the_proxy_knows_the_settings_of_a_step() -> None:
    assert {name.lower() for name in engine_proxy.STEP_SETTINGS} == STEP_SETTINGS


def test_the_proxy_knows_the_steps_of_the_dags() -> None:
    calls = [node for node in ast.walk(ast.parse(DAGS.read_text())) if isinstance(node, ast.Call)]
    steps = {ast.literal_eval(call.args[2]) for call in calls if getattr(call.func, "id", "") == "step"}
    assert steps == set(engine_proxy.STEPS)


def test_a_steps_container_is_described_anew() -> None:
    assert create(ASKED) == SENT


def test_what_a_step_chooses_arrives_as_it_was_also_beyond_ascii() -> None:
    chosen = {
        "Image": "modelyard-steps-extra:1",
        "Cmd": ["train", "--source=s3://data/prêts 🎓.csv", ""],
        "Env": ["RAW_DATABASE_URL=postgresql://p:ä=\\u0041\n@h/d", "DATA_URL="],
        "Labels": {"org.modelyard.step": "train_random_forest"},
    }
    assert create({**ASKED, **chosen}) == {**SENT, **chosen}


@given(CHOSEN, st.dictionaries(KEYS, JSON, max_size=1))
def test_whatever_is_asked_what_goes_out_has_the_same_keys(chosen: dict[str, Any], changes: dict[str, Any]) -> None:
    try:
        sent = create({**ASKED, **chosen, **changes})
    except Refused:
        return
    assert keys(sent) == keys(SENT)
    assert sent["HostConfig"] == SENT["HostConfig"]


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_as_a_body_is_refused_or_a_step(body: bytes) -> None:
    with pytest.raises(Refused):
        translate(Request("POST", "/containers/create", body), PLATFORM)


@given(st.text(string.printable, max_size=80), st.sampled_from(["GET", "POST", "DELETE"]))
def test_whatever_is_asked_for_is_refused_or_known(path: str, method: str) -> None:
    with pytest.raises(Refused):
        translate(Request(method, f"/containers/{path}"), PLATFORM)


@pytest.mark.parametrize(
    ("method", "target", "line"),
    [
        ("GET", "/_ping", "GET /_ping"),
        ("GET", "/version", "GET /version"),
        ("GET", f"/v1.52/containers/{ID}/json", f"GET /v1.52/containers/{ID}/json"),
        ("POST", f"/v1.41/containers/{ID}/wait", f"POST /v1.41/containers/{ID}/wait"),
        (
            "POST",
            f"/v1.41/containers/{ID}/attach?stream=1&stderr=1&stdout=1&logs=0",
            f"POST /v1.41/containers/{ID}/attach?logs=0&stdout=1&stderr=1&stream=1",
        ),
        (
            "GET",
            "/v1.41/images/json?only_ids=0&all=0&filters=%7B%22reference%22%3A+%5B%22modelyard-steps%3A1%22%5D%7D",
            "GET /v1.41/images/json?only_ids=0&all=0&filters=%7B%22reference%22%3A+%5B%22modelyard-steps%3A1%22%5D%7D",
        ),
    ],
)
def test_a_route_is_asked_for_in_the_proxys_words(method: str, target: str, line: str) -> None:
    passed = translate(Request(method, target), PLATFORM)
    assert passed.content.startswith(f"{line} HTTP/1.1\r\nHost: docker\r\nConnection: ".encode())
    assert passed.container == (ID if ID in target else None)


@pytest.mark.parametrize(
    "query", ["logs=0", "logs=0&stdout=1&stderr=1&stream=1&stream=1", "logs=0&stdout=1&stderr=1&stream=0"]
)
def test_another_query_is_refused(query: str) -> None:
    with pytest.raises(Refused, match="no step needs POST"):
        translate(Request("POST", f"/containers/{ID}/attach?{query}"), PLATFORM)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Image": "postgres:17"}, "Image: a step runs in modelyard-steps:1 or modelyard-steps-extra:1"),
        ({"Cmd": ["migrate"]}, "Cmd: must begin with one of the steps load, "),
        ({"Cmd": ["load", 1]}, "Cmd: must be a list of texts"),
        ({"Env": ["PATH=/tmp"]}, "Env: must be settings of steps as NAME=value, each once"),
        ({"User": "0"}, "User: no step needs it"),
        ({"Tty": True}, "Tty: may be false only"),
        ({"HostConfig": {"Binds": ["/:/host"]}}, "HostConfig.Binds: no step needs it"),
        ({"HostConfig": {"NetworkMode": "host"}}, 'HostConfig.NetworkMode: may be "modelyard_default" only'),
        ({"Labels": {}}, "Labels: must name the task as org.modelyard.step"),
        ({"x" * 1000: 1}, f"{'x' * 120}…: no step needs it"),
    ],
)
def test_a_refusal_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Refused) as refused:
        create({**ASKED, **changes})
    assert str(refused.value).startswith(message)


def test_only_a_create_has_a_body() -> None:
    with pytest.raises(Refused, match=f"^POST /containers/{ID}/start takes no body$"):
        translate(Request("POST", f"/containers/{ID}/start", json.dumps(ASKED).encode()), PLATFORM)


def test_a_secret_is_in_no_refusal() -> None:
    with pytest.raises(Refused) as refused:
        create({**ASKED, "Env": ["DATA_URL=hidden", "OTHER=hidden"]})
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize("name", ["STEP_IMAGE", "STEP_NETWORK", "STEP_USE_CASES_VOLUME", "USE_CASES_PATH"])
def test_a_missing_variable_is_named(name: str) -> None:
    given = {"STEP_IMAGE": "i", "STEP_NETWORK": "n", "STEP_USE_CASES_VOLUME": "v", "USE_CASES_PATH": "/u"}
    assert read_platform(given) == Platform(("i",), "n", "v", "/u")
    with pytest.raises(ValueError, match=f"^set {name} for the engine's proxy$"):
        read_platform({**given, name: ""})


async def read(content: bytes) -> Request:
    reader = asyncio.StreamReader(limit=engine_proxy.HEAD_LIMIT_BYTES)
    reader.feed_data(content)
    reader.feed_eof()
    return await read_request(reader)


def test_a_request_is_read_to_its_last_byte_and_not_beyond() -> None:
    content = b"POST /x?a=b HTTP/1.1\r\nHost: proxy\r\nCONTENT-LENGTH:\t3 \r\n\r\nabcGET /info HTTP/1.1\r\n\r\n"
    assert asyncio.run(read(content)) == Request("POST", "/x?a=b", b"abc")


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"GET /_ping\r\n", 400),
        (b"GET /_ping HTTP/1.1\n", 400),
        (b"GET /_ping HTTP/1.1\r\nX: y\n", 400),
        (b"GET /_ping HTTP/1.1\r\nX: y\r\n folded\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nX : y\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nX: y\r\nx: y\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", 400),
        (b"GET /_ping HTTP/1.1\r\nContent-Length: 65537\r\n\r\n", 413),
        (b"GET /" + b"x" * 10_000, 431),
        (b"GET /_ping HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % each for each in range(1000)), 431),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_what_is_not_plain_http_is_refused(content: bytes, status: int) -> None:
    with pytest.raises(Refused) as refused:
        asyncio.run(read(content))
    assert refused.value.status == status


Engine = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def ask(folder: Path, content: bytes, engine: Engine | None) -> bytes:
    """Sends bytes to a proxy before an engine; returns all that comes back."""
    socket, door = str(folder / "engine"), str(folder / "proxy")
    servers = [
        await asyncio.start_unix_server(Proxy(PLATFORM, socket).answer, door, limit=engine_proxy.HEAD_LIMIT_BYTES)
    ]
    if engine:
        servers.append(await asyncio.start_unix_server(engine, socket))
    reader, writer = await asyncio.open_unix_connection(door)
    writer.write(content)
    answer = await reader.read()
    writer.close()
    for server in servers:
        server.close()
        await server.wait_closed()
    return answer


def test_an_engine_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer = asyncio.run(ask(tmp_path, b"GET /_ping HTTP/1.1\r\n\r\n", None))
    assert answer.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"the engine cannot be reached: No such file or directory" in answer


def test_who_sends_too_slowly_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_proxy, "REQUEST_SECONDS", 0.1)
    answer = asyncio.run(ask(tmp_path, b"GET /_ping HTTP/1.1\r\n", None))
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


def test_an_answer_may_take_as_long_as_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUEST_SECONDS", "ENGINE_SECONDS", "LINGER_SECONDS"):
        monkeypatch.setattr(engine_proxy, name, 0.1)

    async def silent_for_long(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nat last")
        writer.close()

    assert asyncio.run(ask(tmp_path, b"GET /_ping HTTP/1.1\r\n\r\n", silent_for_long)).endswith(b"at last")


def test_when_the_client_leaves_the_engine_is_not_asked_any_longer(tmp_path: Path) -> None:
    async def leave() -> None:
        left = asyncio.Event()

        async def wait_for_ever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            client.close()
            await reader.read()
            left.set()
            writer.close()

        socket, door = str(tmp_path / "engine"), str(tmp_path / "proxy")
        proxy = await asyncio.start_unix_server(Proxy(PLATFORM, socket).answer, door)
        engine = await asyncio.start_unix_server(wait_for_ever, socket)
        _, client = await asyncio.open_unix_connection(door)
        client.write(b"GET /_ping HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(30):
            await left.wait()
        proxy.close()
        engine.close()

    asyncio.run(leave())

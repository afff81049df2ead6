#!/usr/bin/env -S python -IS
"""The one way to the Docker Engine: lets Airflow's scheduler run steps in containers, and nothing else.

A connection brings one request. The engine is never sent that request, but another that is written here: of a known
route, with a body made of the few values that a step may choose. No byte of a body or a header is passed on, so it does
not matter how the engine would have read it. From then on bytes only flow back, from the engine to the client.

Standard library only, in one file: what stands before the engine's socket must be easy to read in full.
"""

import asyncio
import json
import os
import re
import socket
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode

PORT = 2375
ENGINE_SOCKET = "/var/run/docker.sock"
HEAD_LIMIT_BYTES = 8 * 1024
BODY_LIMIT_BYTES = 64 * 1024
CONNECTION_LIMIT = 64
# For a whole request to arrive; for the rest of a refused one to be read away, so that the refusal is not lost.
REQUEST_SECONDS = 10.0
LINGER_SECONDS = 1.0
# For the proxy's own question to the engine. An answer to the client may take as long as the step.
ENGINE_SECONDS = 60.0
CHUNK_BYTES = 64 * 1024
# Names in a log line and in an answer come from whoever asks.
SHOWN_CHARACTERS = 120

# `make down` finds the steps' containers by it.
LABEL = "org.modelyard.step"
STEPS = ("load", "preprocess", "train", "compare", "promote", "deploy")
STEP_SETTINGS = frozenset(
    {
        "USE_CASES_PATH",
        "DEFAULT_USE_CASE",
        "DATA_URL",
        "ACCEPTED_FILES_URL",
        "OBJECTS_URL",
        "PRETRAINED_WEIGHTS",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "RAW_DATABASE_URL",
        "CLEAN_DATABASE_URL",
        "MLFLOW_TRACKING_URI",
        "MODEL_LIMIT_MB",
        "SOURCES_ALLOWED",
        "SOURCES_LIMIT_MB",
        "ALLOWED_BAD_SHARE",
        "DEPLOY_TIMEOUT_SECONDS",
        "KEEP_VERSIONS",
        "KEEP_SNAPSHOTS",
        "KEEP_PREDICTION_MONTHS",
        "API_HEARTBEAT_FRESH_SECONDS",
    }
)
TASK = re.compile(r"[A-Za-z0-9_.-]{1,250}")
# Threads count, and TensorFlow starts some for each processor.
PROCESS_LIMIT = 4096

REQUEST_LINE = re.compile(rb"(GET|POST|DELETE) (/[!-~]*) HTTP/1\.1\r\n")
HEADER_LINE = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([\t -~]*)\r\n")
# From API 1.41 (Engine 20.10) on: older ones give a container other defaults.
PATH = re.compile(
    r"(?P<version>/v1\.(?:4[1-9]|[5-9][0-9]))?"
    r"(?P<route>/_ping|/version|/images/json|/containers/create|/containers/(?P<id>[0-9a-f]{64})(?:/[a-z]+)?)"
)
CREATE = "POST /containers/create"
IMAGES = "GET /images/json"
ATTACH = "POST /containers/ID/attach"
# What is asked for, and with which query.
QUERIES: Mapping[str, Mapping[str, str]] = {
    "GET /_ping": {},
    "GET /version": {},
    CREATE: {},
    ATTACH: {"logs": "0", "stdout": "1", "stderr": "1", "stream": "1"},
    "GET /containers/ID/json": {},
    "POST /containers/ID/start": {},
    "POST /containers/ID/wait": {},
    "POST /containers/ID/stop": {},
    "DELETE /containers/ID": {"v": "False", "link": "False", "force": "True"},
}
# An ASCII character written as an escape, by which a word could be hidden from whoever reads the bytes.
ESCAPED_ASCII = re.compile(r"(?<!\\)(?:\\\\)*\\u00[0-7]", re.IGNORECASE)


class Refused(Exception):
    """A request that is not passed on.

    Attributes:
        status: The answer's status.
    """

    def __init__(self, message: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(message)
        self.status = status


class Platform(NamedTuple):
    """What is the same for every step of the platform.

    Attributes:
        images: The images that steps run in.
        network: The network that they are on.
        volume: The volume of use cases.
        use_cases_path: Where a step finds that volume.
    """

    images: tuple[str, ...]
    network: str
    volume: str
    use_cases_path: str


class Request(NamedTuple):
    """A request as it came in, of which only the form has been checked."""

    method: str
    target: str
    body: bytes = b""


class Passed(NamedTuple):
    """What the engine is asked in place of a request.

    Attributes:
        content: The request's bytes.
        container: The id of the container that it is about, if there is one: it must be a step's.
    """

    content: bytes
    container: str | None = None


class Step(NamedTuple):
    """What a step chooses of its container."""

    image: str
    command: Sequence[str]
    environment: Sequence[str]
    task: str


def read_platform(environment: Mapping[str, str]) -> Platform:
    """The platform, from environment variables: STEP_IMAGE and STEP_<EXTRA>_IMAGE, and those read below.

    Raises:
        ValueError: A variable is missing or empty; the message names it.
    """
    needed = ("STEP_IMAGE", "STEP_NETWORK", "STEP_USE_CASES_VOLUME", "USE_CASES_PATH")
    missing = [name for name in needed if not environment.get(name)]
    if missing:
        raise ValueError(f"set {', '.join(missing)} for the engine's proxy")
    images = tuple(value for name, value in environment.items() if re.fullmatch("STEP_([A-Z]+_)?IMAGE", name) and value)
    return Platform(images, *(environment[name] for name in needed[1:]))


# --- Reading a request ------------------------------------------------------------------------------------------------


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Reads one request, by the letter of HTTP/1.1 and within limits.

    Raises:
        Refused: It is no such request, too large, or takes too long.
        asyncio.IncompleteReadError: The client left before its request was there.
    """
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            line = await _read_line(reader)
            found = REQUEST_LINE.fullmatch(line)
            if not found:
                raise Refused("the request line is not one of HTTP/1.1", HTTPStatus.BAD_REQUEST)
            headers = await _read_headers(reader, HEAD_LIMIT_BYTES - len(line))
            body = await reader.readexactly(_body_length(headers))
    except TimeoutError:
        message = f"the request was not complete after {REQUEST_SECONDS:.0f} s"
        raise Refused(message, HTTPStatus.REQUEST_TIMEOUT) from None
    return Request(found[1].decode(), found[2].decode(), body)


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\n")
    except asyncio.LimitOverrunError:
        raise _head_too_large() from None


async def _read_headers(reader: asyncio.StreamReader, limit: int) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := await _read_line(reader)) != b"\r\n":
        limit -= len(line)
        if limit < 0:
            raise _head_too_large()
        found = HEADER_LINE.fullmatch(line)
        if not found:
            raise Refused("a header is not one of HTTP/1.1", HTTPStatus.BAD_REQUEST)
        name = found[1].decode().lower()
        if name in headers:
            raise Refused(f"the header {_shown(name)} comes twice", HTTPStatus.BAD_REQUEST)
        headers[name] = found[2].decode().rstrip(" \t")
    return headers


def _head_too_large() -> Refused:
    message = f"a request's head may have {HEAD_LIMIT_BYTES} bytes"
    return Refused(message, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)


def _body_length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise Refused("a body must come with its length, not in chunks", HTTPStatus.BAD_REQUEST)
    length = headers.get("content-length", "0")
    if not re.fullmatch("[0-9]+", length):
        raise Refused("Content-Length must be a number", HTTPStatus.BAD_REQUEST)
    # Not as a number: it may have thousands of digits.
    if len(length) > len(str(BODY_LIMIT_BYTES)) or int(length) > BODY_LIMIT_BYTES:
        raise Refused(f"a body may have {BODY_LIMIT_BYTES} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return int(length)


# --- What the engine is asked -----------------------------------------------------------------------------------------


def translate(request: Request, platform: Platform) -> Passed:
    """The request that the engine is sent in place of this one.

    Raises:
        Refused: No step needs it.
    """
    path, _, query = request.target.partition("?")
    found = PATH.fullmatch(path)
    container = found["id"] if found else None
    route = f"{request.method} {_without_id(found['route'], container)}" if found else ""
    known = _known_query(route, query, platform)
    if known is None:
        raise Refused(f"no step needs {request.method} {_shown(request.target)}")
    if request.body and route != CREATE:
        raise Refused(f"{request.method} {_shown(path)} takes no body")
    body = write_container(read_step(request.body, platform), platform) if route == CREATE else b""
    target = f"{path}?{urlencode(known)}" if known else path
    return Passed(_write_request(request.method, target, body, upgrade=route == ATTACH), container)


def _without_id(route: str, container: str | None) -> str:
    return route.replace(container, "ID") if container else route


def _known_query(route: str, query: str, platform: Platform) -> Mapping[str, str] | None:
    """The query of a route that the one asked for equals; None: there is none."""
    given = sorted(parse_qsl(query, keep_blank_values=True))
    if route == IMAGES:
        references = [json.dumps({"reference": [image]}) for image in platform.images]
        known: list[Mapping[str, str]] = [{"only_ids": "0", "all": "0", "filters": each} for each in references]
    else:
        known = [QUERIES[route]] if route in QUERIES else []
    return next((each for each in known if sorted(each.items()) == given), None)


def _write_request(method: str, target: str, body: bytes, *, upgrade: bool) -> bytes:
    # Attached, the engine turns the connection into a stream, and ends it with the container.
    connection = "Connection: Upgrade\r\nUpgrade: tcp" if upgrade else "Connection: close"
    content = f"Content-Type: application/json\r\nContent-Length: {len(body)}"
    return f"{method} {target} HTTP/1.1\r\nHost: docker\r\n{connection}\r\n{content}\r\n\r\n".encode() + body


def read_step(body: bytes, platform: Platform) -> Step:
    """What a request to create a container chooses.

    Raises:
        Refused: It is not what DockerOperator asks for a step; the message says what is not.
    """
    asked = _read_json(body)
    if not isinstance(asked, dict):
        raise Refused("a container is described by a JSON object")
    if asked.get("Image") not in platform.images:
        raise Refused(f"Image: a step runs in {' or '.join(platform.images)}")
    command, environment = _texts(asked, "Cmd"), _texts(asked, "Env")
    if command[:1] not in [[step] for step in STEPS]:
        raise Refused(f"Cmd: must begin with one of the steps {', '.join(STEPS)}")
    names = [each.partition("=")[0] for each in environment if "=" in each]
    if len(set(names) & STEP_SETTINGS) != len(environment):
        raise Refused("Env: must be settings of steps as NAME=value, each once")
    step = Step(asked["Image"], command, environment, _task(asked.get("Labels")))
    _check_known(asked, what_airflow_asks(step, platform))
    return step


def _read_json(body: bytes) -> Any:
    """A JSON value, in the one way in which it can be read.

    Raises:
        Refused: There is more than one way, or none.
    """
    try:
        text = body.decode("ascii")
        value = json.loads(text, object_pairs_hook=_without_duplicates, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("the body is not JSON in ASCII", HTTPStatus.BAD_REQUEST) from None
    if ESCAPED_ASCII.search(text):
        raise Refused("an ASCII character is written as \\u00…", HTTPStatus.BAD_REQUEST)
    return value


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Refused("a key comes twice in one object", HTTPStatus.BAD_REQUEST)
    return found


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _texts(asked: Mapping[str, Any], key: str) -> list[str]:
    value = asked.get(key)
    if not isinstance(value, list) or not all(isinstance(each, str) and _is_unicode(each) for each in value):
        raise Refused(f"{key}: must be a list of texts")
    return value


def _is_unicode(text: str) -> bool:
    # Half a pair of escapes is no character: everybody makes something else of it.
    return not re.search("[\ud800-\udfff]", text)


def _task(labels: Any) -> str:
    task = labels.get(LABEL) if isinstance(labels, dict) else None
    if not isinstance(task, str) or not TASK.fullmatch(task):
        raise Refused(f"Labels: must name the task as {LABEL}")
    return task


def what_airflow_asks(step: Step, platform: Platform) -> dict[str, Any]:
    """What DockerOperator, by way of the Docker SDK for Python, sends to have a step's container created."""
    return {
        "ExposedPorts": {},
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": step.environment,
        "Cmd": step.command,
        "Image": step.image,
        "NetworkDisabled": False,
        "HostConfig": {
            "NetworkMode": platform.network,
            "PortBindings": {},
            "Ulimits": [],
            "LogConfig": {"Type": None, "Config": {}},
            "CpuShares": 1024,
            "Mounts": [_mount(platform)],
        },
        "Labels": {LABEL: step.task},
    }


def _check_known(asked: Mapping[str, Any], known: Mapping[str, Any], where: str = "") -> None:
    for key, value in asked.items():
        name = f"{where}{_shown(key)}"
        if key not in known:
            raise Refused(f"{name}: no step needs it")
        if isinstance(value, dict) and isinstance(known[key], dict):
            _check_known(value, known[key], f"{name}.")
        elif value != known[key]:
            raise Refused(f"{name}: may be {json.dumps(known[key])} only")


def write_container(step: Step, platform: Platform) -> bytes:
    """The body by which the engine creates a step's container: without privileges, whatever was asked."""
    return json.dumps(
        {
            "Image": step.image,
            "Cmd": step.command,
            "Env": step.environment,
            "Labels": {LABEL: step.task},
            "AttachStdout": True,
            "AttachStderr": True,
            "HostConfig": {
                "NetworkMode": platform.network,
                "Mounts": [_mount(platform)],
                # A step that is told to stop does so at once: a container's first process would not listen.
                "Init": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges:true"],
                "PidsLimit": PROCESS_LIMIT,
                "RestartPolicy": {"Name": "no"},
                # As the services' logs: what a step says cannot fill the disk.
                "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
            },
        }
    ).encode("ascii")


def _mount(platform: Platform) -> dict[str, Any]:
    return {"Target": platform.use_cases_path, "Source": platform.volume, "Type": "volume", "ReadOnly": True}


# --- Between client and engine ----------------------------------------------------------------------------------------


class Proxy:
    """Answers connections: each one request, asked of the engine in the proxy's own words."""

    def __init__(self, platform: Platform, engine: str = ENGINE_SOCKET) -> None:
        """Makes the proxy of a platform.

        Args:
            platform: What is the same for every step.
            engine: The Unix socket that the engine listens on.
        """
        self._platform = platform
        self._engine = engine
        self._connections = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers the one request of a connection, and closes it."""
        self._connections += 1
        try:
            await self._pass_on(reader, writer)
        except Refused as refusal:
            await _refuse(refusal, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            _log("a client left before its request was there, or its answer")
        finally:
            self._connections -= 1
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections > CONNECTION_LIMIT:
            raise Refused(f"more than {CONNECTION_LIMIT} connections are open", HTTPStatus.SERVICE_UNAVAILABLE)
        # A client that is no longer there is not waited for.
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        passed = translate(await read_request(reader), self._platform)
        if passed.container:
            await self._check_is_a_step(passed.container)
        from_engine, to_engine = await self._ask_engine(passed.content)
        try:
            await _until_either_ends(_copy(from_engine, writer), reader.read(1))
        finally:
            to_engine.close()

    async def _ask_engine(self, content: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            reader, writer = await asyncio.open_unix_connection(self._engine)
        except OSError as error:
            raise Refused(f"the engine cannot be reached: {error.strerror}", HTTPStatus.BAD_GATEWAY) from error
        writer.write(content)
        return reader, writer

    async def _check_is_a_step(self, container: str) -> None:
        found = await self._inspect(container)
        is_a_step = bool(found) and LABEL in (found["Config"]["Labels"] or {})
        # Another platform on the same engine has steps of its own.
        if not is_a_step or found["HostConfig"]["NetworkMode"] != self._platform.network:
            raise Refused(f"no container of a step has the id {container}", HTTPStatus.NOT_FOUND)

    async def _inspect(self, container: str) -> Any:
        """What the engine knows of a container; None: it knows none."""
        # In HTTP/1.0 an answer comes in one piece and ends with the connection.
        reader, writer = await self._ask_engine(f"GET /containers/{container}/json HTTP/1.0\r\n\r\n".encode())
        try:
            async with asyncio.timeout(ENGINE_SECONDS):
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        except (TimeoutError, ConnectionError):
            raise Refused("the engine does not answer", HTTPStatus.GATEWAY_TIMEOUT) from None
        finally:
            writer.close()
        status = head.split(b" ", 2)[1:2]
        if status not in ([b"200"], [b"404"]):
            raise Refused("the engine does not say what the container is", HTTPStatus.BAD_GATEWAY)
        return json.loads(body) if status == [b"200"] else None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        writer.write(chunk)
        await writer.drain()


async def _until_either_ends(copying: Any, leaving: Any) -> None:
    """Waits until the answer is there, or the client leaves or says more, which ends the connection."""
    tasks = [asyncio.ensure_future(each) for each in (copying, leaving)]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    # One that was cancelled or lost its connection has ended as well.
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionError):
            raise outcome


async def _refuse(refusal: Refused, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _log(f"{refusal.status.value}: {refusal}")
    body = json.dumps({"message": f"the engine's proxy refuses this: {refusal}"}).encode()
    status = f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}"
    head = f"{status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            writer.write(head.encode() + body)
            writer.write_eof()
            while await reader.read(CHUNK_BYTES):
                pass
    except (TimeoutError, OSError):
        # The client goes on sending, or is gone: it was told.
        return


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _log(line: str) -> None:
    sys.stderr.write(f"{ascii(line)[1:-1]}\n")


async def listen(platform: Platform) -> None:
    """Answers until the process is ended."""
    server = await asyncio.start_server(Proxy(platform).answer, "0.0.0.0", PORT, limit=HEAD_LIMIT_BYTES)  # noqa: S104
    async with server:
        await server.serve_forever()


def main() -> int:
    """Runs the proxy; returns the exit code."""
    try:
        platform = read_platform(os.environ)
    except ValueError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    asyncio.run(listen(platform))
    return 0


if __name__ == "__main__":
    sys.exit(main())

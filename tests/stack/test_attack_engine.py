"""What somebody who controls the scheduler may try against the Docker Engine: a real proxy on a real engine."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.stack.proxy_in_container import LABEL, Answer, ProxyInContainer, read_all, read_answer, run, write

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

API = "/v1.41"
SOMEBODYS = "a" * 64
# One and the same to a decoder that folds letters.
LONG_S, KELVIN = "\u017f", "\u212a"
BIND = {"Type": "bind", "Source": "/", "Target": "/host"}
HOST: list[dict[str, Any]] = [
    {"Binds": ["/:/host"]},
    {"binds": ["/:/host"]},
    {f"Bind{LONG_S}": ["/:/host"]},
    {f"Mount{LONG_S}": [BIND]},
    {f"Networ{KELVIN}Mode": "host"},
    {f"Ma{LONG_S}{KELVIN}edPaths": []},
    {"Mounts": [BIND]},
    {"Mounts": [{"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/use-cases", "ReadOnly": True}]},
    {"Mounts": [{"Type": "tmpfs", "Target": "/use-cases"}]},
    {"Mounts": [{"Type": "volume", "Source": "modelyard_postgres", "Target": "/use-cases", "ReadOnly": True}]},
    {"Tmpfs": {"/tmp": "exec"}},  # noqa: S108 - in a container
    {"VolumesFrom": ["modelyard-postgres-1"]},
    {"VolumeDriver": "local"},
    {"NetworkMode": "host"},
    {"NetworkMode": "bridge"},
    {"NetworkMode": "none"},
    {"NetworkMode": "modelyard_socket"},
    {"NetworkMode": f"container:{SOMEBODYS}"},
    {"networkmode": "host"},
    {"PidMode": "host"},
    {"IpcMode": "host"},
    {"UTSMode": "host"},
    {"UsernsMode": "host"},
    {"CgroupnsMode": "host"},
    {"CgroupParent": "/"},
    {"Privileged": True},
    {"privileged": True},
    {"CapAdd": ["SYS_ADMIN"]},
    {"SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"]},
    {"ReadonlyPaths": []},
    {"MaskedPaths": []},
    {"Devices": [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda", "CgroupPermissions": "rwm"}]},
    {"DeviceRequests": [{"Count": -1, "Capabilities": [["gpu"]]}]},
    {"DeviceCgroupRules": ["a *:* rwm"]},
    {"Runtime": "runc"},
    {"PublishAllPorts": True},
    {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}},
    {"RestartPolicy": {"Name": "always"}},
    {"AutoRemove": True},
    {"Sysctls": {"net.ipv4.ip_forward": "1"}},
    {"Ulimits": [{"Name": "nofile", "Soft": 1, "Hard": 1}]},
    {"ExtraHosts": ["postgres:127.0.0.1"]},
    {"Dns": ["127.0.0.1"]},
    {"Links": ["postgres"]},
    {"GroupAdd": ["0"]},
    {"OomKillDisable": True},
    {"PidsLimit": -1},
    {"Memory": 0},
    {"CpuShares": 262144},
    {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://elsewhere"}}},
    {"StorageOpt": {"size": "100G"}},
    {"Invented": 1},
]
CONTAINER: list[dict[str, Any]] = [
    {"User": "0"},
    {"User": "0", "HostConfig": {"ReadonlyPaths": [], "MaskedPaths": []}},
    {"uSER": "root"},
    {f"U{LONG_S}er": "root"},
    {"Image": "postgres:17"},
    {"Image": "modelyard-steps"},
    {"image": "postgres:17"},
    {"Image": ["postgres:17"]},
    {"Entrypoint": ["sh"]},
    {"Entrypoint": []},
    {"Cmd": ["sh", "-c", "id"]},
    {"Cmd": "load"},
    {"Cmd": []},
    {"Cmd": ["load", "\ud800"]},
    {"Env": ["PYTHONPATH=/use-cases"]},
    {"Env": ["LD_PRELOAD=/use-cases/x.so"]},
    {"Env": ["DATA_URL"]},
    {"Env": ["DATA_URL=a", "DATA_URL=b"]},
    {"Env": {"DATA_URL": "a"}},
    {"Labels": {}},
    {"Labels": {LABEL: "load", "com.docker.compose.project": "modelyard"}},
    {"Labels": {LABEL: "x" * 300}},
    {"ExposedPorts": {"80/tcp": {}}},
    {"Volumes": {"/data": {}}},
    {"Tty": True},
    {"OpenStdin": True, "AttachStdin": True},
    {"WorkingDir": "/use-cases"},
    {"Healthcheck": {"Test": ["CMD", "id"]}},
    {"NetworkingConfig": {"EndpointsConfig": {"modelyard_socket": {}}}},
    {"Hostname": "postgres"},
    {"MacAddress": "02:42:ac:11:00:02"},
    {"StopSignal": "SIGUSR1"},
    {"OnBuild": ["RUN id"]},
    {"HostConfig": None},
    {"HostConfig": []},
    {f"Ho{LONG_S}tConfig": {"Privileged": True}},
    {"hostconfig": {"Privileged": True}},
    {"Padding": "x" * 200_000},
]
# The last of two counts, in whatever case it is; and a word may be written by escapes.
TEXTS: dict[str, Callable[[str], str]] = {
    "the same key twice": lambda text: put(text, '"Image": "postgres:17"'),
    "HostConfig twice": lambda text: put(text, '"HostConfig": {"Privileged": true}'),
    "in another case": lambda text: put(text, '"HOSTCONFIG": {"Privileged": true}'),
    "twice inside": lambda text: text.replace('"CpuShares"', '"NetworkMode": "host", "CpuShares"'),
    "a mount's key twice": lambda text: text.replace('"ReadOnly": true', '"ReadOnly": true, "ReadOnly": false'),
    "an escaped key": lambda text: text.replace('"CpuShares"', '"\\u0042inds": ["/:/host"], "CpuShares"'),
    "an escaped harmless key": lambda text: text.replace('"Image"', '"\\u0049mage"'),
    "an escaped long s": lambda text: text.replace('"CpuShares"', '"Bind\\u017f": ["/:/host"], "CpuShares"'),
    "an escaped Kelvin": lambda text: text.replace('"CpuShares"', '"Networ\\u212aMode": "host", "CpuShares"'),
    "a harmless byte beyond ASCII": lambda text: text.replace("done", "dône"),
    "NUL": lambda text: text.replace("done", "\\u0000"),
    "two values": lambda text: text + text,
    "a list": lambda text: f"[{text}]",
    "a comment": lambda text: put(text, '/* */ "Tty": false'),
    "a comma at the end": lambda text: text[:-1] + ",}",
    "NaN": lambda text: put(text, '"Memory": NaN'),
    "a byte order mark": lambda text: "\ufeff" + text,
    "endlessly nested": lambda _: "[" * 60_000,
    "endless digits": lambda text: put(text, f'"Memory": {"9" * 5000}'),
    "nothing": lambda _: "",
}
ROUTES = [
    ("POST", "/images/create?fromImage=busybox"),
    ("POST", "/build"),
    ("GET", "/containers/json"),
    ("GET", "/containers/json?all=1"),
    ("GET", "/info"),
    ("GET", "/events"),
    ("GET", "/system/df"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("POST", "/networks/create"),
    ("POST", "/networks/bridge/connect"),
    ("GET", "/secrets"),
    ("POST", "/secrets/create"),
    ("POST", "/configs/create"),
    ("POST", "/swarm/init"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull?remote=x"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("POST", "/auth"),
    ("POST", "/commit"),
    ("GET", "/images/json"),
    ("GET", "/images/json?all=1"),
    ("GET", "/images/json?only_ids=0&all=0&filters=%7B%22reference%22%3A+%5B%22*%22%5D%7D"),
    ("GET", "/images/postgres:17/json"),
    ("DELETE", "/images/postgres:17"),
    ("POST", "/exec/abc/start"),
    ("POST", "/containers/create?name=postgres"),
    ("POST", "/containers/create?platform=linux/arm64"),
    ("HEAD", "/_ping"),
    ("PUT", "/_ping"),
    ("OPTIONS", "*"),
    ("CONNECT", "proxy:80"),
    ("get", "/_ping"),
    ("GET", "/v1.24/_ping"),
    ("POST", "/v1.24/containers/create"),
    ("GET", "//_ping"),
    ("GET", "/./_ping"),
    ("GET", "/containers/../info"),
    ("GET", "/containers/%2e%2e/info"),
    ("GET", "/_ping/..;/info"),
    ("GET", "/%69nfo"),
    ("GET", "/_ping?x=1"),
    ("GET", "/_ping#/info"),
    ("GET", "/_ping/"),
    ("GET", "http://docker/_ping"),
    ("GET", "http://docker/info"),
    ("GET", "/_ping%00"),
    ("GET", "/_ping%0d%0aX:%20y"),
]
OF_A_CONTAINER = [
    ("GET", "json"),
    ("POST", "attach?logs=0&stdout=1&stderr=1&stream=1"),
    ("POST", "start"),
    ("POST", "wait"),
    ("POST", "stop"),
    ("DELETE", "?v=False&link=False&force=True"),
]
NO_STEP_NEEDS = [
    ("POST", "kill"),
    ("POST", "exec"),
    ("POST", "restart"),
    ("POST", "rename?name=postgres"),
    ("POST", "update"),
    ("POST", "pause"),
    ("POST", "resize?h=1&w=1"),
    ("GET", "logs?stdout=1"),
    ("GET", "top"),
    ("GET", "changes"),
    ("GET", "export"),
    ("GET", "stats"),
    ("GET", "attach/ws"),
    ("GET", "archive?path=/"),
    ("PUT", "archive?path=/"),
    ("HEAD", "archive?path=/"),
    ("POST", "copy"),
    ("POST", "attach?logs=0&stdout=1&stderr=1&stream=1&stdin=1"),
    ("POST", "attach?stdin=1"),
    ("POST", "start?detachKeys=a"),
    ("POST", "stop?t=0"),
    ("POST", "wait?condition=removed"),
    ("DELETE", "?v=True&link=False&force=True"),
    ("DELETE", "?v=False&link=True&force=True"),
    ("GET", "json/../../json"),
]
BODY = b'{"Privileged":true}'
HEADS: dict[str, bytes] = {
    "HTTP/0.9": b"GET /_ping\r\n\r\n",
    "HTTP/1.0": b"GET /_ping HTTP/1.0\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "lines end in LF alone": b"GET /_ping HTTP/1.1\nHost: proxy\n\n",
    "a header ends in LF alone": b"GET /_ping HTTP/1.1\r\nHost: proxy\nX: y\r\n\r\n",
    "CR inside": b"GET /_ping HTTP/1.1\r\nX: y\rContent-Length: 5\r\n\r\n",
    "NUL": b"GET /_ping HTTP/1.1\r\nX: \x00\r\n\r\n",
    "not ASCII": b"GET /_ping\xc5\xbf HTTP/1.1\r\n\r\n",
    "two spaces": b"GET  /_ping HTTP/1.1\r\n\r\n",
    "a folded header": b"GET /_ping HTTP/1.1\r\nX: y\r\n Content-Length: 5\r\n\r\n",
    "a blank before the colon": b"POST /containers/create HTTP/1.1\r\nContent-Length : 19\r\n\r\n" + BODY,
    "a header without a name": b"GET /_ping HTTP/1.1\r\n: y\r\n\r\n",
    "chunked": b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "chunked, and with a length": (
        b"POST /containers/create HTTP/1.1\r\nContent-Length: 19\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY
    ),
    "chunked, hidden": b"POST /containers/create HTTP/1.1\r\nTransfer-Encoding: x\r\n\r\n",
    "two lengths": b"POST /containers/create HTTP/1.1\r\nContent-Length: 19\r\nContent-Length: 0\r\n\r\n" + BODY,
    "the same length twice": b"POST /containers/create HTTP/1.1\r\nContent-Length: 19\r\ncontent-length: 19\r\n\r\n"
    + BODY,
    "a list of lengths": b"POST /containers/create HTTP/1.1\r\nContent-Length: 19, 19\r\n\r\n" + BODY,
    "a signed length": b"POST /containers/create HTTP/1.1\r\nContent-Length: +19\r\n\r\n" + BODY,
    "a negative length": b"POST /containers/create HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    "an endless length": b"POST /containers/create HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    "a body for what takes none": write("GET", "/_ping", '{"Binds": ["/:/host"]}'),
    "an endless line": b"GET /" + b"a" * 1_000_000,
    "an endless header": b"GET /_ping HTTP/1.1\r\nX: " + b"y" * 1_000_000,
    "endless headers": b"GET /_ping HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % each for each in range(100_000)),
}


def put(text: str, more: str) -> str:
    """An object's JSON with one more entry at its end."""
    return f"{text[:-1]}, {more}}}"


@pytest.fixture(scope="module", autouse=True)
def _no_container_is_left(proxy: ProxyInContainer) -> Iterator[None]:
    """What an attack had made would be seen here."""
    before = proxy.containers()
    yield
    assert proxy.containers() == before


@pytest.fixture(scope="module")
def step(proxy: ProxyInContainer, _no_container_is_left: None) -> Iterator[str]:
    """The id of a step's container that runs; no test ends it."""
    with running_step(proxy) as container:
        yield container
        assert run("docker", "inspect", "--format", "{{.State.Running}}", container) == "true"


@contextmanager
def running_step(proxy: ProxyInContainer) -> Iterator[str]:
    """Starts a step's container that runs until it is ended, and removes it."""
    made = proxy.create(proxy.asked_by_airflow(program="import time; time.sleep(86400)"))
    assert made.status == 201, made.body
    container = json.loads(made.body)["Id"]
    assert proxy.ask("POST", f"{API}/containers/{container}/start").status == 204
    yield container
    assert proxy.ask("DELETE", f"{API}/containers/{container}?v=False&link=False&force=True").status == 204


def refuses_to_create(proxy: ProxyInContainer, body: str) -> None:
    """It refuses, with a sentence."""
    answer = proxy.create(body)
    assert answer.status in {400, 403, 413}
    assert json.loads(answer.body)["message"].startswith("the engine's proxy refuses this: ")


def test_what_a_step_asks_is_passed_on(proxy: ProxyInContainer) -> None:
    made = proxy.create(proxy.asked_by_airflow())
    assert made.status == 201, made.body
    container = json.loads(made.body)["Id"]
    assert proxy.ask("DELETE", f"{API}/containers/{container}?v=False&link=False&force=True").status == 204


def test_what_was_not_asked_is_set_nevertheless(proxy: ProxyInContainer, step: str) -> None:
    found = json.loads(run("docker", "inspect", step))[0]
    host = found["HostConfig"]
    assert (host["CapDrop"], host["SecurityOpt"], host["Privileged"]) == (["ALL"], ["no-new-privileges:true"], False)
    assert host["RestartPolicy"]["Name"] == "no"
    assert host["PidsLimit"] > 0
    assert host["MaskedPaths"]
    assert host["ReadonlyPaths"]
    assert list(found["NetworkSettings"]["Networks"]) == [proxy.network]
    assert found["Config"]["User"] == "10001:10001"
    assert [(mount["Name"], mount["RW"]) for mount in found["Mounts"]] == [(proxy.volume, False)]


@pytest.mark.parametrize("changes", HOST, ids=ascii)
@pytest.mark.parametrize("escaped", [True, False], ids=["escaped", "as it is"])
def test_no_right_on_the_host_can_be_had(proxy: ProxyInContainer, changes: dict[str, Any], escaped: bool) -> None:
    refuses_to_create(proxy, json.dumps(proxy.asked_by_airflow(**changes), ensure_ascii=escaped))


@pytest.mark.parametrize("changes", CONTAINER, ids=lambda changes: ascii(changes)[:60])
def test_no_other_container_can_be_had(proxy: ProxyInContainer, changes: dict[str, Any]) -> None:
    refuses_to_create(proxy, json.dumps({**proxy.asked_by_airflow(), **changes}))


@pytest.mark.parametrize("name", TEXTS)
def test_no_body_is_read_in_two_ways(proxy: ProxyInContainer, name: str) -> None:
    refuses_to_create(proxy, TEXTS[name](json.dumps(proxy.asked_by_airflow())))


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_other_route_is_open(proxy: ProxyInContainer, method: str, path: str) -> None:
    for prefix in ("", API) if path.startswith("/") and not path.startswith("/v1") else ("",):
        assert proxy.ask(method, prefix + path).status in {400, 403}, prefix


@pytest.mark.parametrize(("method", "what"), NO_STEP_NEEDS)
def test_of_a_step_nothing_else_can_be_asked(proxy: ProxyInContainer, step: str, method: str, what: str) -> None:
    assert proxy.ask(method, path_of(step, what)).status in {400, 403}


def path_of(container: str, what: str) -> str:
    return f"{API}/containers/{container}{'' if what.startswith('?') else '/'}{what}"


@pytest.fixture(scope="module")
def foreign(proxy: ProxyInContainer) -> Iterator[list[str]]:
    """Containers that are none of this platform's steps: one of a service, and one of another platform's steps."""
    with ExitStack() as stack:
        started: list[str] = []
        for options in (["--network", proxy.network], ["--label", f"{LABEL}=load", "--network", "none"]):
            words = [
                *options,
                "--init",
                "--rm",
                "--entrypoint",
                "sleep",
                proxy.compose_setting("PYTHON_IMAGE"),
                "86400",
            ]
            started.append(run("docker", "run", "--detach", *words))
            stack.callback(run, "docker", "rm", "--force", started[-1])
        yield started


@pytest.mark.parametrize(("method", "what"), OF_A_CONTAINER)
def test_a_container_that_is_no_step_of_the_platform_is_out_of_reach(
    proxy: ProxyInContainer, foreign: list[str], method: str, what: str
) -> None:
    for container in foreign:
        answer = proxy.ask(method, path_of(container, what))
        assert (answer.status, b"no container of a step has the id" in answer.body) == (404, True)
        assert run("docker", "inspect", "--format", "{{.State.Running}}", container) == "true"


def test_of_a_step_all_that_airflow_asks_can_be_asked(proxy: ProxyInContainer) -> None:
    with running_step(proxy) as step:
        assert in_one_chunk(proxy.ask("GET", path_of(step, "json")))["Id"] == step
        assert proxy.ask("POST", path_of(step, "stop")).status == 204
        assert in_one_chunk(proxy.ask("POST", path_of(step, "wait")))["StatusCode"] == 143


def in_one_chunk(answer: Answer) -> Any:
    """The JSON of an answer whose body the engine sends in a single chunk."""
    return json.loads(answer.body.split(b"\r\n")[1])


@pytest.mark.parametrize("name", HEADS)
def test_no_head_is_read_in_two_ways(proxy: ProxyInContainer, name: str) -> None:
    assert proxy.send(HEADS[name]).status in {0, 400, 403, 413, 431}
    assert proxy.send(write("GET", "/_ping")).body == b"OK"


@pytest.mark.parametrize(
    "first", [write("GET", "/_ping"), write("GET", "/v1.41/_ping", "")], ids=["plain", "versioned"]
)
def test_a_second_request_in_a_connection_is_not_answered(proxy: ProxyInContainer, first: bytes) -> None:
    second = write("POST", f"{API}/containers/create", json.dumps(proxy.asked_by_airflow()))
    with proxy.connect() as connection:
        connection.sendall(first + second)
        assert b'"Id"' not in read_answer(connection).body


def test_bytes_after_an_attach_go_nowhere(proxy: ProxyInContainer, step: str) -> None:
    attach = write("POST", path_of(step, "attach?logs=0&stdout=1&stderr=1&stream=1"))
    with proxy.connect() as connection:
        connection.sendall(attach)
        assert connection.recv(16) == b"HTTP/1.1 101 UPG"
        connection.sendall(write("POST", f"{API}/containers/{step}/stop"))
        read_all(connection)
    assert run("docker", "inspect", "--format", "{{.State.Running}}", step) == "true"


def test_who_sends_slowly_keeps_nobody_out_for_long(proxy: ProxyInContainer) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(proxy.connect()) for _ in range(80)]
        for connection in slow:
            connection.sendall(b"GET /_ping HTTP/1.1\r\nX: ")
        statuses = [read_answer(connection).status for connection in slow]
    assert set(statuses) == {408, 503}
    assert statuses.count(408) <= 64
    assert proxy.ask("GET", "/_ping").status == 200


def test_what_is_refused_is_logged_in_one_short_line(proxy: ProxyInContainer) -> None:
    path = "/nothing" + "%0a" * 1000
    assert proxy.ask("GET", path).status == 403
    [line] = [
        line for line in proxy.compose("logs", "--no-log-prefix", "socket-proxy").splitlines() if "/nothing" in line
    ]
    assert "403: no step needs GET /nothing" in line
    assert len(line) < 250

"""The engine's proxy alone, as compose runs it, with an image of steps that is built in a second."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from tests.stack.platform_in_containers import REPOSITORY, wait_until

# The entry point takes the words of a step, and runs the program that is the second of them.
STEPS_IMAGE = """
FROM {python_image}
USER 10001:10001
ENTRYPOINT ["python", "-c", "import sys; exec(sys.argv[2])"]
"""
LABEL = "org.modelyard.step"
START_SECONDS = 60
ANSWER_SECONDS = 30


class Answer(NamedTuple):
    """What came back over a connection until it was closed."""

    status: int
    body: bytes


class ProxyInContainer:
    """A proxy on a real engine, asked as a program can that is on its network.

    Attributes:
        project: What compose calls the platform that the proxy is of.
        address: Where the proxy answers. The engine's own machine reaches its networks, internal ones too.
    """

    def __init__(self, project: str) -> None:
        self.project = project
        # The project's name as the images' version, too: nobody else's are touched.
        self.image = f"modelyard-steps:{project}"
        self.network = f"{project}_default"
        self.volume = f"{project}_use-cases"
        self.address = ""

    @property
    def url(self) -> str:
        """Where a client of the engine finds the proxy."""
        return f"tcp://{self.address}:2375"

    def compose(self, *arguments: str) -> str:
        """Runs compose for the proxy's service."""
        environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": self.project,
            "VERSION": self.project,
            "IMAGE_REGISTRY": "",
        }
        return run("docker", "compose", *arguments, environment=environment)

    def start(self) -> None:
        """Builds and starts it."""
        python_image = self.compose_setting("PYTHON_IMAGE")
        run("docker", "build", "--quiet", "--tag", self.image, "-", stdin=STEPS_IMAGE.format(python_image=python_image))
        self.compose("up", "--build", "--no-deps", "--detach", "--wait", "socket-proxy")
        container = self.compose("ps", "--quiet", "socket-proxy")
        self.address = run(
            "docker", "inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", container
        )
        wait_until(lambda: self.ask("GET", "/_ping").status == 200, "the proxy's answer", START_SECONDS)

    @staticmethod
    def compose_setting(name: str) -> str:
        """A setting, as compose takes it."""
        lines = (REPOSITORY / "config.env").read_text(encoding="utf-8").splitlines()
        documented = dict(line.split("=", 1) for line in lines if "=" in line and line[0] != "#")
        return os.environ.get(name) or documented[name]

    def remove(self) -> None:
        """Removes all that was made."""
        for container in self.containers():
            run("docker", "rm", "--force", container)
        self.compose("down", "--volumes", "--timeout", "1")
        run("docker", "volume", "rm", "--force", self.volume)
        run("docker", "rmi", "--force", self.image, f"modelyard-socket-proxy:{self.project}", check=False)

    def containers(self) -> list[str]:
        """Ids of the containers that were made of the steps' image, also of those that never started."""
        return run("docker", "ps", "--all", "--quiet", "--no-trunc", "--filter", f"ancestor={self.image}").split()

    def connect(self) -> socket.socket:
        """A connection to the proxy."""
        return socket.create_connection((self.address, 2375), timeout=ANSWER_SECONDS)

    def send(self, content: bytes) -> Answer:
        """Sends bytes, and reads all that comes back until the proxy closes the connection."""
        with self.connect() as connection:
            # It may be refused before all of it was sent.
            with suppress(ConnectionError):
                connection.sendall(content)
            return read_answer(connection)

    def ask(self, method: str, path: str, body: str = "") -> Answer:
        """Sends a request as a client does."""
        return self.send(write(method, path, body))

    def asked_by_airflow(self, *, program: str = "print('done')", **host: Any) -> dict[str, Any]:
        """What DockerOperator sends to have a step's container created, as it was recorded."""
        return {
            "ExposedPorts": {},
            "Tty": False,
            "OpenStdin": False,
            "StdinOnce": False,
            "AttachStdin": False,
            "AttachStdout": True,
            "AttachStderr": True,
            "Env": ["DATA_URL=s3://data", "RAW_DATABASE_URL=postgresql+psycopg2://pipeline:p=q@postgres/raw_data"],
            "Cmd": ["load", program],
            "Image": self.image,
            "NetworkDisabled": False,
            "HostConfig": {
                "NetworkMode": self.network,
                "PortBindings": {},
                "Ulimits": [],
                "LogConfig": {"Type": None, "Config": {}},
                "CpuShares": 1024,
                "Mounts": [{"Target": "/use-cases", "Source": self.volume, "Type": "volume", "ReadOnly": True}],
                **host,
            },
            "Labels": {LABEL: "load"},
        }

    def create(self, asked: str | Mapping[str, Any]) -> Answer:
        """Asks for a container: by a body as it is, or by what is to be in it."""
        body = asked if isinstance(asked, str) else json.dumps(asked)
        return self.ask("POST", "/v1.41/containers/create", body)


def write(method: str, path: str, body: str = "") -> bytes:
    """A request as a client writes it."""
    content = body.encode()
    headers = f"Host: proxy\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return f"{method} {path} HTTP/1.1\r\n{headers}\r\n\r\n".encode() + content


def read_answer(connection: socket.socket) -> Answer:
    """All that comes until the other side closes; without any it has the status 0."""
    head, _, body = read_all(connection).partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ", 2)[1]) if head else 0, body)


def read_all(connection: socket.socket) -> bytes:
    """All bytes that come until the other side closes, which it may while some are under way to it."""
    received = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def run(*command: str, stdin: str = "", check: bool = True, environment: Mapping[str, str] | None = None) -> str:
    """What a command says."""
    done = subprocess.run(
        command, check=check, cwd=REPOSITORY, env=environment, input=stdin, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip()


@contextmanager
def running_proxy(project: str) -> Iterator[ProxyInContainer]:
    """A proxy that is removed afterwards, with all that was made by way of it."""
    proxy = ProxyInContainer(project)
    try:
        proxy.start()
        yield proxy
    finally:
        proxy.remove()

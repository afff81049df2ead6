"""The platform in containers: one for all tests, under a name and on ports of its own, removed afterwards."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.platform_in_containers import REPOSITORY, Stack
from tests.stack.proxy_in_container import ProxyInContainer, running_proxy

PORTS = (
    "AIRFLOW_PORT",
    "MINIO_PORT",
    "MINIO_CONSOLE_PORT",
    "MLFLOW_PORT",
    "JUPYTER_PORT",
    "API_PORT",
    "API_BALANCER_PORT",
    "FRONTEND_PORT",
)
NEED_AN_ENGINE = {
    "test_attack_engine.py",
    "test_attack_hosts.py",
    "test_attack_logins.py",
    "test_configuration.py",
    "test_engine_proxy.py",
    "test_outages.py",
    "test_own_use_case.py",
    "test_platform.py",
    "test_replicas.py",
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Tests that need an engine are collected when they are asked for."""
    return True if collection_path.name in NEED_AN_ENGINE and "stack" not in config.option.markexpr else None


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The running platform, every service healthy."""
    environment = {
        **os.environ,
        **{name: str(port) for name, port in zip(PORTS, free_ports(len(PORTS)), strict=True)},
        "COMPOSE_PROJECT_NAME": "modelyard-test",
        "HOST_UID": str(REPOSITORY.stat().st_uid),
        "HOST_GID": str(REPOSITORY.stat().st_gid),
    }
    running = Stack(environment)
    try:
        running.compose("up", "--build", "--detach", "--wait", show=True)
        yield running
    except subprocess.CalledProcessError:
        running.compose("logs", "--tail", "20", show=True)
        raise
    finally:
        running.compose("--profile", "replicas", "down", "--volumes", "--timeout", "5", show=True)


@pytest.fixture(scope="session")
def proxy() -> Iterator[ProxyInContainer]:
    """The engine's proxy alone, beside whatever else runs."""
    with running_proxy(f"modelyard-proxy-test-{os.getpid()}") as running:
        yield running


@pytest.fixture(scope="session")
def stack_with_tensorflow(stack: Stack) -> Stack:
    """The platform with the image that models of pictures are trained in, as `make images-tensorflow` builds it."""
    Stack({**stack.environment, "STEPS_EXTRA": "-tensorflow"}).compose("build", "secrets", show=True)
    return stack


def free_ports(count: int) -> list[int]:
    """Ports on which nothing listens."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

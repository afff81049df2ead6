"""Processes that use the embedded servers of a home, to be ended or killed by a test."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

USE_POSTGRES = """
import sys
from pathlib import Path
from modelyard.embedded.postgres import embedded_postgres
with embedded_postgres(Path(sys.argv[1])) as postgres:
    print(postgres.admin_url, flush=True)
    sys.stdin.read()
"""
USE_MLFLOW = """
import sys
from pathlib import Path
from modelyard.embedded.postgres import embedded_postgres
from modelyard.embedded.mlflow import embedded_mlflow
with embedded_postgres(Path(sys.argv[1])) as postgres, embedded_mlflow(Path(sys.argv[1]), postgres) as uri:
    print(uri, flush=True)
    sys.stdin.read()
"""


class User:
    """A process that uses a server until it is told to leave."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.address = _stream(process.stdout).readline().strip()

    def leave(self) -> None:
        _stream(self.process.stdin).close()
        assert self.process.wait() == 0


@contextmanager
def user_of(home: Path, script: str = USE_POSTGRES) -> Iterator[User]:
    """A user that has what it needs; killed at the end if it has not left."""
    with starting_user_of(home, script) as process:
        yield User(process)


@contextmanager
def starting_user_of(home: Path, script: str = USE_POSTGRES) -> Iterator[subprocess.Popen[str]]:
    """A user that may still wait for what it needs, in a session of its own; killed at the end."""
    command = [sys.executable, "-c", script, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def processes_of(home: Path) -> list[str]:
    """What runs for a home, by folder, command line or environment, but this process."""
    return [
        f"{process.pid} {process.info['cmdline']}"
        for process in psutil.process_iter(["cwd", "cmdline", "environ"])
        if process.pid != os.getpid() and str(home) in f"{process.info}"
    ]


def wait_until_nothing_runs(home: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while processes_of(home) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(home) == []


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream

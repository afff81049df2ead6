"""The step that a run in Airflow starts, on a real Postgres, with sources that somebody chose to do harm."""

import gzip
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput
from modelyard.settings import child_environment
from tests.web_server import Server, serving

USE_CASE = """
from tests.shops import shops
USE_CASE = shops(name="shops")
"""
# The command, which says at last how many kilobytes of memory it took.
MODELYARD = """
import atexit, re
from pathlib import Path
from modelyard.cli import main
atexit.register(lambda: print(re.search("VmHWM:\\s+([0-9]+)", Path("/proc/self/status").read_text())[1]))
main()
"""
SHOPS = "shop,floor_area,staff,open_sunday,kind,verdict\na,1.5,2,yes,bakery,good\nb,2,,,,bad\n"
SECRET = "root:$6$secret:19000:0:99999:7:::\n"
MEGABYTE = 1024**2
MOST_MEMORY_MB = 400

Load = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def load(empty_postgres: Postgres, tmp_path: Path) -> Load:
    """Runs the command."""
    (tmp_path / "use_cases").mkdir()
    (tmp_path / "use_cases" / "shops.py").write_text(USE_CASE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shops.csv").write_text(SHOPS)
    (tmp_path / "secret.csv").write_text(SECRET)
    environment = {
        "MODELYARD_HOME": str(tmp_path / "home"),
        "USE_CASES_PATH": str(tmp_path / "use_cases"),
        "DATA_URL": str(tmp_path / "data"),
        "RAW_DATABASE_URL": empty_postgres.url("raw_data"),
        "CLEAN_DATABASE_URL": empty_postgres.url("clean_data"),
    }

    def load(source: object, *options: str, **more: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", MODELYARD, "load", "--use-case", "shops", f"--source={source}", *options]
        return subprocess.run(
            command,
            check=False,
            env=child_environment({**environment, **more}),
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
        )

    return load


@pytest.fixture
def start() -> Iterator[Callable[[], Server]]:
    """Starts a web server."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(serving())


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(f"select count(*) from {table}")) or 0)


def check_refused(done: Any, sentence: str, engine: Engine) -> None:
    assert done.returncode == BadInput.exit_code, done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert sentence in done.stderr
    assert "root:" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert count(engine, "batches") == count(engine, "rejected_records") == 0


def test_a_run_loads_what_lies_below_the_data_and_a_person_what_is_hers(
    load: Load, raw_engine: Engine, tmp_path: Path
) -> None:
    check_refused(load(tmp_path / "secret.csv", "--restricted"), "is not among the sources", raw_engine)
    check_refused(load("/etc/shadow", "--restricted"), "is not among the sources", raw_engine)
    (tmp_path / "data" / "link.csv").symlink_to(tmp_path / "secret.csv")
    check_refused(load("link.csv", "--restricted"), "is not among the sources", raw_engine)
    # A person sees a sentence about her file, and nothing of what is in it.
    check_refused(load(tmp_path / "secret.csv"), "line 1 names none of the columns", raw_engine)
    done = load("shops.csv", "--restricted", ACCEPTED_FILES_URL=str(tmp_path / "accepted"))
    assert done.returncode == 0, done.stderr
    assert count(raw_engine, "shops") == 2
    (kept,) = (tmp_path / "accepted" / "shops").iterdir()
    assert kept.read_text() == SHOPS
    assert load(kept, "--restricted", ACCEPTED_FILES_URL=str(tmp_path / "accepted")).returncode == 0


def test_a_run_is_led_nowhere_by_a_redirect(load: Load, raw_engine: Engine, start: Callable[[], Server]) -> None:
    server, inside = start(), start()
    server.content = inside.content = SHOPS.encode()
    allowed = {"SOURCES_ALLOWED": f"https://,{server.url}/"}
    done = load(f"{server.url}/to/{inside.url}/shops.csv", "--restricted", **allowed)
    check_refused(done, f"{inside.url}/shops.csv is not among the sources", raw_engine)
    done = load(f"http://localhost:{inside.server_port}/shops.csv", "--restricted", SOURCES_ALLOWED="http://")
    check_refused(done, "localhost is in no public network", raw_engine)
    assert inside.asked == []
    done = load(f"{server.url}/to/{server.url}/shops.csv", "--restricted", **allowed)
    assert done.returncode == 0, done.stderr
    assert count(raw_engine, "shops") == 2


def test_a_pipe_does_not_keep_a_load_waiting(load: Load, raw_engine: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "data" / "pipe.csv")
    for options in ([], ["--restricted"]):
        done = load(tmp_path / "data" / "pipe.csv", *options)
        check_refused(done, "is no regular file but a pipe, a device or the like", raw_engine)


def test_a_file_that_unpacks_to_far_more_takes_no_more_memory_and_no_more_of_the_disk(
    load: Load, raw_engine: Engine, tmp_path: Path
) -> None:
    with gzip.open(tmp_path / "data" / "bomb.csv.gz", "wb", compresslevel=1) as bomb:
        bomb.write(SHOPS.encode())
        for _ in range(512):
            bomb.write(bytes(MEGABYTE))
    done = load("bomb.csv.gz", "--restricted", SOURCES_LIMIT_MB="100")
    check_refused(done, "bomb.csv.gz holds more than 100 MB (SOURCES_LIMIT_MB)", raw_engine)
    # A person's own file has no such limit, and is read a piece at a time all the same.
    done = load(tmp_path / "data" / "bomb.csv.gz")
    check_refused(done, "line 4 is longer than 16 MB", raw_engine)
    assert most_memory_mb(done) < MOST_MEMORY_MB


def most_memory_mb(done: "subprocess.CompletedProcess[str]") -> float:
    """What a command took of memory at most."""
    return int(done.stdout.split()[-1]) / 1024

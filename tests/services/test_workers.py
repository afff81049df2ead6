"""Several processes behind one port: each known, all counted, and one that dies is replaced."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import Engine

from modelyard.stores.processes import ApiProcesses
from services.api.metrics import SHARED_FOLDER
from tests.services.conftest import StartApi
from tests.services.folder_source import FolderSource
from tests.services.load import loaded
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.own_postgres import FRESH_SECONDS
from tests.services.running_api import RunningApi, wait_until
from tests.services.test_faults import CLIENTS, ENOUGH, check_kept, in_table

WORKERS = 2


def serving(engine: Engine, version: int) -> set[int]:
    alive = ApiProcesses(engine).alive("loan_approval", FRESH_SECONDS)
    return {process.pid for process in alive if process.model_version == version}


def workers_of(api: RunningApi) -> set[int]:
    """The processes that answer, which are those that have the port and are not the first."""
    return {child.pid for child in psutil.Process(api.process.pid).children() if _answers(child)}


def _answers(child: psutil.Process) -> bool:
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
    except psutil.NoSuchProcess:
        return False


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def api(start_api: StartApi, raw_engine: Engine) -> Iterator[RunningApi]:
    """An API of two processes that both serve version 1."""
    with start_api(api_workers=WORKERS) as running:
        wait_until(lambda: len(serving(raw_engine, 1)) == WORKERS, running.logged)
        yield running


def test_each_tells_what_it_serves_and_all_swap(api: RunningApi, source: FolderSource, raw_engine: Engine) -> None:
    assert serving(raw_engine, 1) == workers_of(api)
    with loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
        put(source, 2, loan_contract(), LOAN_RECORD, bias=1)
        source.point(loan_approval=2)
        wait_until(lambda: len(serving(raw_engine, 2)) == WORKERS, api.logged)
        load.wait_for(ENOUGH)
    assert (load.lost, load.statuses) == (0, {})
    check_kept(in_table(raw_engine), load)


def test_one_that_is_killed_loses_no_answer_and_is_replaced(api: RunningApi, raw_engine: Engine) -> None:
    before = workers_of(api)
    with loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
        os.kill(min(before), signal.SIGKILL)
        wait_until(lambda: len(workers_of(api) - {min(before)}) == WORKERS, api.logged)
    with loaded(api.port, CLIENTS) as later:
        later.wait_for(ENOUGH)
    load.request_ids += later.request_ids
    assert later.lost == 0
    check_kept(in_table(raw_engine), load, killed=CLIENTS)
    # What was so as it was killed is not said to be so now.
    assert api.client.get("/metrics").status_code == 200
    folder = Path(psutil.Process(max(workers_of(api))).environ()[SHARED_FOLDER])
    numbers = folder.glob("gauge_live*.db")
    assert {int(file.stem.rpartition("_")[2]) for file in numbers} <= workers_of(api)


def test_whoever_is_asked_counts_for_all(api: RunningApi) -> None:
    with loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
    expected = len(load.request_ids)

    def counted() -> int:
        text = api.client.get("/metrics").text
        pattern = r'modelyard_request_duration_seconds_count\{outcome="answered",use_case="loan_approval",model_version="1"\} (\d+)'
        return int(re.findall(pattern, text)[0])

    wait_until(lambda: counted() == expected, lambda: f"{counted()} of {expected}")


def test_the_port_is_free_when_the_first_is_killed(api: RunningApi) -> None:
    api.kill()
    wait_until(lambda: not _listens(api.port), api.logged)


def test_all_of_them_end(api: RunningApi) -> None:
    pids = workers_of(api)
    assert api.stop() in (0, -signal.SIGTERM)
    assert not any(psutil.pid_exists(pid) for pid in pids)

"""An API process to which somebody offers models made to stop it: it answers as before, and takes the next good one."""

import os
import time

import psutil
import pytest

from modelyard.models.onnx.compiled import EXAMPLE_FILE, MODEL_FILE
from modelyard.models.onnx.verification import PROCESSOR_SECONDS
from tests.services.conftest import Case, StartApi
from tests.services.folder_source import FolderSource
from tests.services.made_attacks import MANY_ROUNDS, make_endless
from tests.services.made_models import LOAN_RECORD, loan_contract, put, slow_detour
from tests.services.running_api import wait_until


def put_endless(case: Case, version: int) -> None:
    """Adds a version that computes for hours."""
    make_endless(case.put(version, detour=slow_detour(MANY_ROUNDS, side=8)) / MODEL_FILE)


def is_trying(case: Case) -> bool:
    """Whether a version of the use case is being tried in a process of its own."""
    return any(case.name in arguments_of(child) for child in psutil.Process(case.api.process.pid).children())


def arguments_of(process: psutil.Process) -> list[str]:
    """What a process was started with; nothing if it has ended."""
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []


def live_seconds(case: Case) -> float:
    began = time.perf_counter()
    assert case.api.client.get("/live").status_code == 200
    return time.perf_counter() - began


def test_a_version_that_never_ends_holds_up_nothing(case: Case) -> None:
    put_endless(case, 2)
    case.point(2)
    wait_until(lambda: is_trying(case), case.api.logged)
    # Another use case, a newer version of the same one, and who asks meanwhile.
    Case(f"{case.name}_other", case.source, case.api).promote(7)
    assert case.answer()["model_version"] == 1
    # Where the model was tried in this process, nobody would be answered before its time is over.
    assert max(live_seconds(case) for _ in range(10)) < PROCESSOR_SECONDS / 4
    case.promote(3, bias=1)
    assert is_trying(case)
    assert case.answer()["model_version"] == 3
    # What becomes of version 2 is no news of version 3.
    wait_until(lambda: not is_trying(case), case.api.logged)
    assert (case.health()["target_version"], case.health()["self_test"]) == (3, "ok")


def test_challengers_that_never_end_hold_up_nothing(case: Case) -> None:
    put_endless(case, 2)
    case.source.challenge(**{case.name: 2})
    wait_until(lambda: is_trying(case), case.api.logged)
    other = Case(f"{case.name}_other", case.source, case.api)
    other.promote(1)
    other.put(2, bias=1)
    case.source.challenge(**{other.name: 2})
    wait_until(lambda: f"{other.name}: the challenger: version 2 is asked" in case.api.logged())
    case.promote(3, bias=1)
    assert case.answer()["model_version"] == 3
    case.source.challenge(**{case.name: None, other.name: None})


def test_what_tries_a_version_knows_no_secret_and_ends_with_the_api(start_api: StartApi, source: FolderSource) -> None:
    put(source, 2, loan_contract(), LOAN_RECORD, detour=slow_detour(MANY_ROUNDS, side=8))
    make_endless(source.folder / "loan_approval" / "2" / MODEL_FILE)
    with start_api() as api:
        api.wait_for_version(1)
        source.point(loan_approval=2)
        children = wait_for_children(api.process.pid)
        environment = {name: value for child in children for name, value in child.environ().items()}
        assert not {"RAW_DATABASE_URL", "MODELYARD_HOME"} & set(environment)
        api.kill()
        wait_until(lambda: not any(child.is_running() for child in children))


def wait_for_children(pid: int) -> list[psutil.Process]:
    wait_until(lambda: bool(psutil.Process(pid).children()))
    return psutil.Process(pid).children()


@pytest.mark.parametrize("name", [MODEL_FILE, EXAMPLE_FILE])
def test_a_version_that_is_too_large_is_told_and_not_fetched(
    start_api: StartApi, source: FolderSource, name: str
) -> None:
    put(source, 2, loan_contract(), LOAN_RECORD)
    os.truncate(source.folder / "loan_approval" / "2" / name, 20 * 2**20)
    with start_api(model_limit_mb=10) as api:
        api.wait_for_version(1)
        source.point(loan_approval=2)
        wait_until(lambda: api.health()["target_version"] == 2, api.logged)
        assert api.health()["self_test"] == "failed"
        assert api.answer(LOAN_RECORD)["model_version"] == 1


def test_after_a_start_the_cache_answers_without_another_process(start_api: StartApi, source: FolderSource) -> None:
    with start_api() as api:
        api.wait_for_version(1)
    source.go_away()
    with start_api() as api:
        assert api.answer(LOAN_RECORD)["model_version"] == 1
        assert not psutil.Process(api.process.pid).children()

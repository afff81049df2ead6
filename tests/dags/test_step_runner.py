import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psutil
import pytest

from modelyard.catalog import find_use_case
from modelyard.settings import read_settings

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
DAG_RUN = SimpleNamespace(
    dag_id="loan_approval.train_model", run_id="manual__1", logical_date=None, run_after=MOMENT.replace(day=3)
)


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the command `modelyard`, beside a stand-in for this Python."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "modelyard"
    file.touch(mode=0o700)
    return file


def context() -> dict[str, Any]:
    events: Any = {}
    return {"dag_run": DAG_RUN, "triggering_asset_events": events, "outlet_events": _Events()}


class _Events(dict[Any, SimpleNamespace]):
    def __missing__(self, asset: Any) -> SimpleNamespace:
        self[asset] = SimpleNamespace(extra={})
        return self[asset]


def operator(step_runner: ModuleType, *options: str, updates: Any = None) -> Any:
    use_case = find_use_case("loan_approval")
    return step_runner.step(read_settings(), use_case, "load", options=options, updates=updates)


def event(run: str | None, seconds: int) -> SimpleNamespace:
    extra = {"pipeline_run": run, "day": f"2025-12-{seconds:02}"} if run else {}
    return SimpleNamespace(extra=extra, timestamp=MOMENT.replace(second=seconds))


def test_a_run_that_was_started_by_hand_is_a_pipeline_run_of_its_own(step_outcome: ModuleType) -> None:
    assert step_outcome.pipeline_run(DAG_RUN, {}) == "loan_approval.train_model/manual__1"


def test_a_run_that_an_asset_started_takes_over_the_key(step_outcome: ModuleType) -> None:
    assert step_outcome.pipeline_run(DAG_RUN, {"asset": [event("load/1", 1)]}) == "load/1"


def test_of_several_events_the_newest_one_counts(step_outcome: ModuleType) -> None:
    events = {"asset": [event("load/2", 9), event("load/1", 1)]}
    assert step_outcome.pipeline_run(DAG_RUN, events) == "load/2"


def test_an_event_from_elsewhere_has_no_key(step_outcome: ModuleType) -> None:
    assert step_outcome.pipeline_run(DAG_RUN, {"asset": [event(None, 1)]}) == "loan_approval.train_model/manual__1"


def test_the_day_is_the_logical_date_if_the_run_has_one(step_outcome: ModuleType) -> None:
    backfilled = SimpleNamespace(**vars(DAG_RUN) | {"logical_date": MOMENT})
    assert step_outcome.run_day(backfilled, {}) == "2026-01-01"
    assert step_outcome.run_day(DAG_RUN, {}) == "2026-01-03"


def test_a_run_that_an_asset_started_is_of_the_day_of_the_run_that_started_it_all(step_outcome: ModuleType) -> None:
    events = {"asset": [event("load/2", 9), event("load/1", 1)]}
    assert step_outcome.run_day(DAG_RUN, events) == "2025-12-09"
    assert step_outcome.run_day(DAG_RUN, {"asset": [event(None, 1)]}) == "2026-01-03"


def test_the_step_is_run_and_its_asset_tells_the_key_and_the_day(step_runner: ModuleType, command: Path) -> None:
    from airflow.sdk import Asset

    command.write_text('#!/bin/sh\necho "$0 $@" > called; pwd >> called\n')
    asset = Asset("loan_approval.raw_data")
    told = context()
    task = operator(step_runner, "", "--source=a file.csv", updates=asset)
    task.execute(told)
    arguments = f"load --use-case loan_approval --run {step_runner.PIPELINE_RUN} --source=a file.csv"
    assert (command.parent / "called").read_text() == f"{command} {arguments}\n{command.parent}\n"
    assert told["outlet_events"][asset].extra == {
        "pipeline_run": "loan_approval.train_model/manual__1",
        "day": "2026-01-03",
    }


@pytest.mark.parametrize(("exit_code", "exception"), [(2, "AirflowFailException"), (3, "GateRefused")])
def test_bad_input_and_a_refusal_are_not_retried(
    step_runner: ModuleType, command: Path, exit_code: int, exception: str
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    command.write_text(f"#!/bin/sh\necho working >&2; echo 'error: line 3 is bad' >&2; exit {exit_code}\n")
    with pytest.raises(AirflowFailException, match=r"^line 3 is bad$") as raised:
        operator(step_runner).execute(context())
    assert raised.typename == exception


@pytest.mark.parametrize("ending", ["exit 1", "kill -9 $$"])
def test_anything_else_is_retried(step_runner: ModuleType, command: Path, ending: str) -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    command.write_text(f"#!/bin/sh\necho 'error: the database does not answer' >&2; {ending}\n")
    with pytest.raises(AirflowException, match=r"^the database does not answer$") as raised:
        operator(step_runner).execute(context())
    assert not isinstance(raised.value, AirflowFailException)


def test_a_step_that_says_nothing_fails_with_its_exit_code(step_runner: ModuleType, command: Path) -> None:
    from airflow.sdk.exceptions import AirflowException

    command.write_text("#!/bin/sh\nexit 7\n")
    with pytest.raises(AirflowException, match="exit code 7"):
        operator(step_runner).execute(context())


def test_a_failed_step_updates_no_asset(step_runner: ModuleType, command: Path) -> None:
    from airflow.sdk import Asset
    from airflow.sdk.exceptions import AirflowException

    command.write_text("#!/bin/sh\nexit 1\n")
    told = context()
    with pytest.raises(AirflowException):
        operator(step_runner, updates=Asset("raw")).execute(told)
    assert told["outlet_events"] == {}


def test_when_a_task_is_ended_its_process_and_what_it_started_end_too(step_runner: ModuleType, command: Path) -> None:
    started = command.parent / "started"
    command.write_text(f"#!/bin/sh\nsleep 600 &\necho $$ $! > {started}.new; mv {started}.new {started}; wait\n")
    task = operator(step_runner)
    running = threading.Thread(target=_ignore_failure, args=(task,))
    running.start()
    while not started.exists():
        time.sleep(0.01)
    processes = [psutil.Process(int(pid)) for pid in started.read_text().split()]
    task.on_kill()
    running.join()
    _, left = psutil.wait_procs(processes, timeout=30)
    assert left == []


def _ignore_failure(task: Any) -> None:
    from airflow.sdk.exceptions import AirflowException

    with pytest.raises(AirflowException):
        task.execute(context())

"""The benchmarks run, and write down what they found."""

import json
import shutil
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from benchmarks import before, credit, gate, goals, kept, loop, probabilities, serve, splits, wrk
from benchmarks.serve_model import make_frame, make_record
from modelyard.embedded.processes import free_ports
from modelyard.errors import BadInput
from modelyard.settings import child_environment

ROOT = Path(__file__).parents[2]
RATIOS = {
    "load_over_pandas_to_sql",
    "load_over_bare_copy",
    "load_peak_mb",
    "load_peak_mb_of_five_times_the_rows",
    "preprocess_time_for_10_times_the_rows",
    "preprocess_time_for_100_times_the_rows",
}


def cells(table: str) -> set[str]:
    return {cell.strip() for line in table.splitlines() for cell in line.split("|")}


def test_ratios_are_printed_and_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--rows", "2000", "--no-loop"]
    environment = child_environment({"MODELYARD_HOME": str(tmp_path)})
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert "modelyard load" in done.stdout
    assert "Preprocess" in done.stdout
    assert "at least 15" in cells(done.stdout)
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert set(report["ratios"]) == RATIOS
    assert all(ratio > 0 for ratio in report["ratios"].values())
    assert set(report["measured"]["preprocess"]) == {"20", "200", "2000", "again"}


@pytest.mark.long
def test_the_time_of_credit_risk_is_measured_step_by_step() -> None:
    measured = credit.measure(rows=2000)
    assert set(measured) == {"load", "preprocess", "train", "credit_risk"}
    steps = sum(measured[step] for step in ("load", "preprocess", "train"))
    assert credit.ratios(measured)["credit_risk_seconds"] == pytest.approx(steps)


SERVED = {
    "mlflow_serve_rate": 50.0,
    "noop_rate": 8000.0,
    "noop_many_rate": 8500.0,
    "durable_rate": 6000.0,
    "durable_p99_ms": 9.0,
    "durable_many_rate": 8000.0,
    "batch_rows_rate": 80_000.0,
    "failed_requests": 0.0,
    "worker_mb": 150.0,
    "worker_mb_after": 151.0,
    "requests_before_that": 1_000_000.0,
    "half_load_rate": 3000.0,
    "half_load_p99_ms": 6.0,
    "noop_half_load_rate": 3000.0,
    "noop_half_load_p99_ms": 3.0,
    "swap_p99_before_ms": 6.0,
    "swap_p99_ms": 9.0,
    "swap_failed_requests": 0.0,
    "start_seconds": 0.9,
}


def test_what_is_measured_of_serving_is_held_against_the_goals() -> None:
    assert serve.ratios(SERVED) == {
        "durable_over_mlflow_serve": 120,
        "durable_over_noop": 0.75,
        "p99_over_noop": 2,
        "half_load_p99_ms": 6,
        "swap_p99_over_before": 1.5,
        "swap_failed_requests": 0,
        "batch_over_single": 10,
        "start_seconds": 0.9,
        "worker_mb": 150,
        "worker_mb_after": 151,
    }
    without_peer = {name: value for name, value in SERVED.items() if name != "mlflow_serve_rate"}
    assert "durable_over_mlflow_serve" not in serve.ratios(without_peer)
    assert serve.show(without_peer).row_count == serve.show(SERVED).row_count


def test_what_misses_its_goal_is_said_to(capsys: pytest.CaptureFixture[str]) -> None:
    goals.show(
        {"durable_over_noop": 0.64, "p99_over_noop": 3.0, "load_over_bare_copy": 0.5, "interval_width_over_mapie": 1.1}
    )
    rows = [
        [line.split("|")[place] for place in (3, 5, 6)]
        for line in capsys.readouterr().out.splitlines()
        if "_over_" in line
    ]
    found = [[cell.strip() for cell in row] for row in rows]
    assert found == [
        ["0.5", "", ""],
        ["1.1", "at most 1.05", "no"],
        ["0.64", "at least 0.65", "no"],
        ["3", "at most 3", "yes"],
    ]
    [between] = [goal for goal in goals.GOALS if goal.ratio == "interval_coverage"]
    assert str(between) == "0.885 to 0.92"
    assert [between.is_reached(value) for value in (0.88, 0.9, 0.93)] == [False, True, False]


def test_what_takes_longer_is_shown_with_the_date_of_its_last_result(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "FOLDER", tmp_path)
    kept.keep("before", {"loop": 36.0}, {"loop_over_before": 1.5, "load_over_bare_copy": 0.1})
    [found] = kept.kept()
    goals.show({"load_over_bare_copy": 0.5}, [found])
    rows = [[cell.strip() for cell in line.split("|")[3:7]] for line in capsys.readouterr().out.splitlines()]
    assert ["1.5", found.date, "at most 1.2", "no"] in rows
    assert ["0.5", "", "", ""] in rows


def test_what_is_kept_in_the_repository_is_held_against_goals() -> None:
    names = {goal.ratio for goal in goals.GOALS}
    assert all(set(each.ratios) <= names and each.measured for each in kept.kept())


def test_what_is_measured_of_probabilities_is_held_against_the_goals() -> None:
    measured = {"calibration_error:a": 0.004, "calibration_error:b": 0.02, "calibration_error:c": 0.006}
    measured |= {"is_honest:a": 1.0, "is_honest:d": 0.8}
    measured |= {"coverage:d": 0.9, "coverage:e": 0.91, "width_over_mapie:d": 0.9, "width_over_mapie:e": 1.0}
    assert probabilities.ratios(measured) == {
        "honest_share": 0.9,
        "calibration_error": 0.006,
        "calibration_error_worst": 0.02,
        "interval_coverage": pytest.approx(0.905),
        "interval_width_over_mapie": 0.95,
    }
    assert probabilities.show(measured).row_count == 5


def test_all_that_is_held_against_goals_has_its_row() -> None:
    loop_ratios = loop.ratios({"trigger_to_served": 30.0})
    of_gate = gate.ratios(dict.fromkeys(chain.from_iterable(each.names for each in gate.EXPERIMENTS), 0.0))
    of_splits = splits.ratios(dict.fromkeys(splits.EXPERIMENTS, 0.0))
    of_tables = dict.fromkeys(("is_honest:a", "calibration_error:a", "coverage:b", "width_over_mapie:b"), 0.0)
    of_before = before.ratios({"loop": 3.0, "loop_before": 2.0, "credit": 1.0, "credit_before": 1.0})
    of_models = (
        set(of_before) | set(of_gate) | set(of_splits) | set(probabilities.ratios(of_tables)) | {"credit_risk_seconds"}
    )
    assert RATIOS | set(serve.ratios(SERVED)) | set(loop_ratios) | of_models == {goal.ratio for goal in goals.GOALS}


def test_a_split_by_records_flatters_and_one_by_groups_or_time_does_not() -> None:
    measured = splits.measure(draws=2)
    assert measured["split_by_records_groups"] > 0.3
    assert measured["split_by_records_weeks"] > 0.05
    assert all(difference < 0.1 for difference in splits.ratios(measured).values())


def test_the_gate_is_measured_by_models_of_known_worth() -> None:
    measured = gate.measure(share=0.005)
    assert measured["gate_false_passes_1_positives"] == 0
    assert measured["gate_power_1000"] == 1
    assert gate.show(measured).row_count == len(gate.EXPERIMENTS)
    assert gate.measure(share=0.005) == measured


@pytest.mark.skipif(shutil.which("wrk") is None, reason=wrk.MISSING)
def test_wrk_posts_and_counts(tmp_path: Path) -> None:
    frame = make_frame(10)
    body = tmp_path / "record.json"
    body.write_text(json.dumps(make_record(frame, 0)), encoding="utf-8")
    [port] = free_ports(1)
    with serve.running(["-m", "benchmarks.serve_noop", str(port)], f"http://127.0.0.1:{port}/docs"):
        url = f"http://127.0.0.1:{port}/predict/serve_benchmark"
        full, half = wrk.post(url, body, 4, 1), wrk.post(url, body, 4, 1, rate=100)
        wrong = wrk.post(f"{url}/nothing", body, 4, 1)
    assert full.failed == half.failed == 0
    assert full.rate > half.rate > 10
    assert 0 < full.p50_ms <= full.p99_ms
    assert wrong.failed == wrong.requests > 0


def test_without_wrk_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BadInput, match="apt-get install wrk"):
        serve.measure()

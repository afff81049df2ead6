"""The benchmarks run, and write down what they found."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import credit
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


def test_ratios_are_printed_and_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.run", "--rows", "2000", "--no-loop"]
    environment = child_environment({"MODELYARD_HOME": str(tmp_path)})
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    assert "modelyard load" in done.stdout
    assert "Preprocess" in done.stdout
    report = json.loads((tmp_path / "bench.json").read_text(encoding="utf-8"))
    assert set(report["ratios"]) == RATIOS
    assert all(ratio > 0 for ratio in report["ratios"].values())
    assert set(report["measured"]["preprocess"]) == {"20", "200", "2000", "again"}


def test_the_time_of_credit_risk_is_measured_step_by_step() -> None:
    measured = credit.measure(rows=2000)
    assert set(measured) == {"load", "preprocess", "train", "credit_risk"}
    steps = sum(measured[step] for step in ("load", "preprocess", "train"))
    assert credit.ratios(measured)["credit_risk_seconds"] == pytest.approx(steps)

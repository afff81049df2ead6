"""A model of 150 000 borrowers: load, preprocess and train, each the command that Airflow starts.

    python -m benchmarks.credit

The start of each command's process counts, and so does what is kept in MLflow; the start of the servers does not.
"""

import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from data.make_credit_risk import credit_records
from modelyard.embedded.mlflow import embedded_mlflow
from modelyard.embedded.postgres import embedded_postgres
from modelyard.settings import child_environment

# As many as the public file has.
ROWS = 150_000
SEED = 1


def measure(rows: int = ROWS) -> dict[str, float]:
    """Takes so many borrowers from a file to a trained model, in a home of its own.

    Returns:
        Seconds of load, preprocess and train, and `credit_risk`: of the three together.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="modelyard-bench-")))
        source = folder / "cs-training.csv"
        credit_records(rows, SEED).to_csv(source, na_rep="NA")
        home = folder / "home"
        postgres = stack.enter_context(embedded_postgres(home))
        tracking_uri = stack.enter_context(embedded_mlflow(home, postgres))
        environment = child_environment({"MODELYARD_HOME": str(home), "MLFLOW_TRACKING_URI": tracking_uri})
        seconds = {
            "load": _seconds(environment, "load", "--source", str(source)),
            "preprocess": _seconds(environment, "preprocess"),
            "train": _seconds(environment, "train"),
        }
    return {**seconds, "credit_risk": sum(seconds.values())}


def ratios(measured: dict[str, float]) -> dict[str, float]:
    """What is held against the goal of 60 seconds."""
    return {"credit_risk_seconds": measured["credit_risk"]}


def show(measured: dict[str, float]) -> Table:
    """The measurement as a table."""
    table = Table("step", "seconds", title="Credit risk, 150 000 borrowers")
    for step in ("load", "preprocess", "train"):
        table.add_row(step, f"{measured[step]:.1f}")
    table.add_section()
    table.add_row("together", f"{measured['credit_risk']:.1f}")
    return table


def _seconds(environment: dict[str, str], step: str, *options: str) -> float:
    command = [str(Path(sys.executable).with_name("modelyard")), step, "--use-case", "credit_risk", *options]
    started = time.perf_counter()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    Console().print(show(measure()))

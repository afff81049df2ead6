"""Measures Modelyard beside its peers, on this machine, in one run: prints tables, writes `bench.json`.

    python -m benchmarks.run

What is held against the goals is in `bench.json` under `ratios`, and the last table that is printed. In that table are
also the last results of what takes longer, with their date.
"""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console

from benchmarks import credit, gate, goals, load, loop, preprocess, serve, splits
from benchmarks.kept import kept
from modelyard.embedded.postgres import embedded_postgres
from modelyard.errors import BadInput
from modelyard.settings import read_settings

ROWS = 1_000_000
PACKAGES = (
    "modelyard",
    "apache-airflow",
    "asyncpg",
    "fastapi",
    "mlflow",
    "onnxruntime",
    "pandas",
    "pandera",
    "psycopg2-binary",
    "pyarrow",
    "sqlalchemy",
    "uvicorn",
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description="Measures Modelyard beside its peers.")
    parser.add_argument("--rows", type=int, default=ROWS, help="records that are loaded; fewer for a quick look")
    parser.add_argument(
        "--no-loop", action="store_true", help="without the loop, training, serving, the gate and the splits"
    )
    chosen = parser.parse_args(arguments)
    report = measure(chosen.rows, with_loop=not chosen.no_loop)
    path = read_settings().home / "bench.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    Console(stderr=True).print(f"written to {path}")


def measure(rows: int, *, with_loop: bool) -> dict[str, Any]:
    """Runs all measurements and prints each as soon as it is there.

    Args:
        rows: Records that are loaded.
        with_loop: Whether the gate, the splits, the loop and the training of credit risk are measured too.

    Returns:
        The machine, the measurements and the ratios.
    """
    console = Console()
    measured: dict[str, dict[str, float]] = {}
    with TemporaryDirectory(prefix="modelyard-bench-") as home, embedded_postgres(Path(home)) as postgres:
        measured["load"] = load.measure(postgres, rows)
        console.print(load.show(measured["load"]))
        measured["preprocess"] = preprocess.measure(postgres, rows)
        console.print(preprocess.show(measured["preprocess"]))
    if with_loop:
        measured["gate"] = gate.measure()
        console.print(gate.show(measured["gate"]))
        measured["splits"] = splits.measure()
        console.print(splits.show(measured["splits"]))
        measured["credit"] = credit.measure()
        console.print(credit.show(measured["credit"]))
        measured["loop"] = loop.measure()
        console.print(loop.show(measured["loop"]))
        measured |= _measure_serving(console)
    ratios = load.ratios(measured["load"]) | preprocess.ratios(measured["preprocess"])
    if with_loop:
        ratios |= gate.ratios(measured["gate"]) | splits.ratios(measured["splits"])
        ratios |= credit.ratios(measured["credit"]) | loop.ratios(measured["loop"])
    ratios |= serve.ratios(measured["serve"]) if "serve" in measured else {}
    machine = _machine()
    console.print(_in_words(machine), soft_wrap=True)
    goals.show(ratios, kept())
    return {"machine": machine, "measured": measured, "ratios": ratios}


def _measure_serving(console: Console) -> dict[str, dict[str, float]]:
    try:
        measured = serve.measure()
    except BadInput as missing:
        console.print(f"serving is not measured: {missing}")
        return {}
    console.print(serve.show(measured))
    return {"serve": measured}


def _machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "packages": {package: version(package) for package in PACKAGES},
    }


def _in_words(machine: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    return f"{machine['cores']} cores, {machine['system']}, Python {machine['python']}; {packages}."


if __name__ == "__main__":
    main()

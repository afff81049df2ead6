"""How much longer the loop and a training take than at an earlier revision, both in turns on this machine.

    python -m benchmarks.before 39d1788

The earlier revision gets a work tree and an environment of its own, which are removed afterwards. It is measured by
its own benchmarks. Of the turns the fastest one counts: what else a shared machine does makes no turn faster.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from benchmarks.kept import keep

REPOSITORY = Path(__file__).parents[1]
REVISION = "39d1788"
TURNS = 2
# By the name of the benchmark, what is compared of it.
COMPARED = {"loop": "trigger_to_served", "credit": "credit_risk"}


def measure(revision: str = REVISION, turns: int = TURNS) -> dict[str, float]:
    """Runs both revisions in turns.

    Args:
        revision: The earlier one.
        turns: Of each.

    Returns:
        The fewest seconds of each benchmark by name, and `_before` of the earlier revision.
    """
    with _work_tree(revision) as before:
        seconds: dict[str, list[float]] = {}
        for _ in range(turns):
            for name in COMPARED:
                seconds.setdefault(f"{name}_before", []).append(_seconds(before, before / ".venv/bin/python", name))
                seconds.setdefault(name, []).append(_seconds(REPOSITORY, Path(sys.executable), name))
    return {name: min(each) for name, each in seconds.items()}


def ratios(measured: Mapping[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    return {f"{name}_over_before": measured[name] / measured[f"{name}_before"] for name in COMPARED}


def show(measured: Mapping[str, float], revision: str) -> Table:
    """The measurement as a table."""
    table = Table("what", f"at {revision}, s", "now, s", "÷", title="The fastest of the turns")
    for name, ratio in zip(COMPARED, ratios(measured).values(), strict=True):
        table.add_row(name, f"{measured[f'{name}_before']:.1f}", f"{measured[name]:.1f}", f"{ratio:.2f}")
    return table


@contextmanager
def _work_tree(revision: str) -> Iterator[Path]:
    git, make = ["git", "-C", str(REPOSITORY), "worktree"], "make"
    with TemporaryDirectory(prefix="modelyard-bench-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), revision], check=True)
        try:
            subprocess.run([make, "-C", str(tree), ".venv/.local"], check=True)
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def _seconds(tree: Path, python: Path, name: str) -> float:
    program = f"import json; from benchmarks import {name}; print(json.dumps({name}.measure()))"
    run = subprocess.run([python, "-c", program], cwd=tree, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(run.stdout.splitlines()[-1])
    return found[COMPARED[name]]


def main() -> None:
    """Measures, prints and keeps."""
    parser = argparse.ArgumentParser(description="Compares the loop and a training with an earlier revision.")
    parser.add_argument("revision", nargs="?", default=REVISION, help="the earlier revision")
    revision = parser.parse_args().revision
    measured = measure(revision)
    Console().print(show(measured, revision))
    Console().print(f"written to {keep('before', measured, ratios(measured))}")


if __name__ == "__main__":
    main()

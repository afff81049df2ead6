"""What it takes to turn away models that were made to harm whoever loads them: `python -m benchmarks.attack_models`.

Each is tried as the API and the steps try one that was registered. Measured are the seconds until the answer, and the
most memory of the process that wanted to use it and of the one that tried it.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich import box
from rich.console import Console
from rich.table import Table

from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import MODEL_FILE
from modelyard.models.onnx.verification import load_checked
from tests.services.made_attacks import MANY_ROUNDS, add_nodes, endless_loop, large_array, make_endless
from tests.services.made_models import LOAN_RECORD, loan_contract, slow_detour, write_package

USE_CASE = "loan_approval"
WIDTH = 200
MOST_TOLD = 90
KILOBYTES_PER_MB = 1024


def make(kind: str, folder: Path) -> None:
    """Writes the files of a model of that kind."""
    if kind == "computes for minutes":
        write_package(folder, loan_contract(), [LOAN_RECORD], detour=slow_detour(MANY_ROUNDS, side=8))
        make_endless(folder / MODEL_FILE)
        return
    write_package(folder, loan_contract(), [LOAN_RECORD])
    if kind == "loops for ever":
        add_nodes(folder / MODEL_FILE, endless_loop())
    elif kind == "takes 64 GB":
        add_nodes(folder / MODEL_FILE, large_array(64))


KINDS = ("is honest", "loops for ever", "computes for minutes", "takes 64 GB")


def measure(kind: str) -> tuple[str, str, str, str]:
    """Tries one in a process of its own, so that memory is that of this one alone."""
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.attack_models", kind], capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    seconds, own, other, outcome = said.split("\t")
    return seconds, own, other, outcome


def try_one(kind: str) -> str:
    """What came of a model of that kind, as a row."""
    with TemporaryDirectory() as folder:
        make(kind, Path(folder))
        began = time.perf_counter()
        try:
            load_checked(Path(folder), USE_CASE)
            outcome = "is used"
        except UnusableModel as error:
            outcome = str(error)[:MOST_TOLD]
        seconds = time.perf_counter() - began
    own, other = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return f"{seconds:.1f}\t{own // KILOBYTES_PER_MB}\t{other // KILOBYTES_PER_MB}\t{outcome}"


def main() -> None:
    """Prints the table."""
    table = Table("a model that", "s", "MB of who uses it", "MB of who tries it", "is told", box=box.MARKDOWN)
    for kind in KINDS:
        table.add_row(kind, *measure(kind))
    Console(width=WIDTH).print(table)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(try_one(sys.argv[1]))
    else:
        main()

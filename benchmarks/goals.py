"""What Modelyard wants to reach, and the one table in which a run is held against it."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.kept import Kept

# Markdown has a row on one line.
WIDTH = 200


class Goal(NamedTuple):
    """What is wanted of a ratio.

    Attributes:
        ratio: Its name in `bench.json`.
        title: What it is.
        least: It should not be below that.
        most: It should not be above that.
    """

    ratio: str
    title: str
    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        """The goal in words; empty where there is none."""
        if self.least is not None and self.most is not None:
            return f"{self.least:g} to {self.most:g}"
        if self.least is not None:
            return f"at least {self.least:g}"
        return "" if self.most is None else f"at most {self.most:g}"

    def is_reached(self, value: float) -> bool | None:
        """Whether a value reaches the goal; None: there is no goal."""
        if self.least is None and self.most is None:
            return None
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


GOALS = (
    Goal("load_over_pandas_to_sql", "`modelyard load` ÷ `read_csv` + `to_sql` with defaults, in speed", least=15),
    Goal("load_over_bare_copy", "`modelyard load` ÷ a bare COPY of the same file into a keyed table, in speed"),
    Goal("load_peak_mb", "peak memory of the load, MB", most=400),
    Goal("load_peak_mb_of_five_times_the_rows", "the same with five times the records, MB", most=400),
    Goal("preprocess_time_for_10_times_the_rows", "preprocess of ten times the records, in time", most=10),
    Goal("preprocess_time_for_100_times_the_rows", "preprocess of a hundred times the records, in time", most=100),
    *(
        Goal(f"gate_false_passes_{count}_positives", f"models of noise that pass, {count} of 1 000 positive", most=0.01)
        for count in (1, 2, 5, 20, 100, 500)
    ),
    Goal("gate_false_passes_30_records", "the same, 30 records, half positive", most=0.01),
    Goal("gate_false_passes_60_records", "the same, 60 records, half positive", most=0.01),
    Goal("gate_false_passes_3_classes", "the same, three classes of 20 records", most=0.01),
    Goal("gate_false_passes_values", "the same, a regression of 30 heavy-tailed values", most=0.01),
    Goal("gate_false_passes_groups", "the same, 200 groups of 5 with one label and one score each", most=0.01),
    Goal("gate_false_passes_groups_of_like_scores", "the same, with one label and like scores", most=0.01),
    Goal("gate_false_passes_groups_of_both_classes", "the same, with one score and both labels", most=0.01),
    Goal("gate_false_passes_100_looks", "tables on which any of 100 models of noise passes, growing", most=0.01),
    Goal("gate_power_first_20_positives", "first models of ROC AUC 0.80 that pass, 20 of 1 000 positive", least=0.9),
    Goal("gate_power_first_60_records", "the same, 60 records, half positive", least=0.8),
    Goal("gate_power_250", "models of 0.82 that pass beside 0.80, 250 test records", least=0.5),
    Goal("gate_power_1000", "the same, 1 000 test records", least=0.9),
    Goal("gate_power_1000_100_looks", "the same, the 100th model that is judged by them", least=0.5),
    Goal("gate_guards_refuse_equal", "models as good as production that guards or slices refuse", most=0.02),
    Goal("gate_slice_intervals", "intervals of slices of 25 records that hold", least=0.9),
    Goal("gate_walk_promoted", "of 40 retrainings, each truly 0.005 worse, promoted", most=4),
    Goal("gate_walk_lost", "ROC AUC lost by them", most=0.02),
    Goal(
        "split_honest_groups", "ROC AUC by new customers: measured minus true, 40 draws, split by customer", most=0.02
    ),
    Goal("split_honest_weeks", "ROC AUC in the next weeks: measured minus true, 40 draws, split by time", most=0.02),
    Goal(
        "honest_share", "metrics on the test part that agree with those on a third held back, public tables", least=0.9
    ),
    Goal("calibration_error", "calibration error beyond chance on public tables, median", most=0.01),
    Goal("calibration_error_worst", "the same, of the worst table", most=0.03),
    Goal("interval_coverage", "truth inside of intervals of 90 %, mean over public tables", least=0.885, most=0.92),
    Goal("interval_width_over_mapie", "width of these intervals ÷ MAPIE's CV+ on the same model", most=1.05),
    Goal("loop_over_before", "the loop ÷ that of revision 39d1788, in time", most=1.2),
    Goal("credit_over_before", "load, preprocess and train 150 000 borrowers ÷ the same at 39d1788, in time", most=1.5),
    Goal("credit_risk_seconds", "load, preprocess and train 150 000 borrowers, s", most=60),
    Goal("loop_seconds", "the loop from trigger to served on a warm machine, s", most=60),
    Goal("durable_over_mlflow_serve", "durable `/predict` ÷ `mlflow models serve`, 16 connections", least=75),
    Goal("durable_over_noop", "durable `/predict` ÷ an API that does nothing, 16 connections", least=0.65),
    Goal("p99_over_noop", "p99 at half the load ÷ that of an API that does nothing", most=3),
    Goal("half_load_p99_ms", "p99 at half the load, ms", most=25),
    Goal("swap_p99_over_before", "p99 with a swap ÷ before", most=2),
    Goal("swap_failed_requests", "failed requests of those", most=0),
    Goal("batch_over_single", "rows/s in batches of 10 000 ÷ single requests at full concurrency", least=10),
    Goal("start_seconds", "start to first answer with the model in the cache, s", most=3),
    Goal("worker_mb", "memory of a worker, MB", most=250),
    Goal("worker_mb_after", "the same after 1 000 000 requests, MB", most=250),
)


def show(ratios: Mapping[str, float], kept: Iterable[Kept] = ()) -> None:
    """Prints what a run measured beside what is wanted, as a table in Markdown.

    Args:
        ratios: What was measured just now, by name.
        kept: What was measured earlier and is kept, as it takes long.
    """
    table = Table("what", "`ratios` in bench.json", "measured", "on", "goal", "reached", box=box.MARKDOWN)
    dated = {name: (value, each.date) for each in kept for name, value in each.ratios.items()}
    dated |= {name: (value, "") for name, value in ratios.items()}
    for goal in GOALS:
        if goal.ratio in dated:
            value, date = dated[goal.ratio]
            reached = _word(goal.is_reached(value))
            table.add_row(goal.title, f"`{goal.ratio}`", f"{value:.3g}", date, str(goal), reached)
    Console(width=WIDTH).print(table)


def _word(is_reached: bool | None) -> str:
    if is_reached is None:
        return ""
    return "yes" if is_reached else "no"

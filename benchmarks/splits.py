"""How honest the splits are: what is measured on the test part, beside what the same model does on records to come.

    python -m benchmarks.splits

Customers have five orders each. Their features are all the customer's own, and so is what is predicted: a coin for each
customer, so that of others nothing can be known. Weeks have a base rate that wanders, and one feature tells the week.
The model is a tree that learns by heart. Split by single records, it is measured at what it will never do again.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.models.evaluation.metrics import evaluate, truth
from modelyard.models.fit import fit
from modelyard.models.tabular.pipeline import fitted_scores
from modelyard.split import borders_of, parts_in_time, parts_of
from modelyard.use_case import PARTS, Candidate, RecordKey, Split, UseCase

CUSTOMERS, ORDERS = 1000, 5
WEEKS, LATER_WEEKS, RECORDS_OF_A_WEEK = 60, 10, 40
FIRST_DAY = datetime.fromisoformat("2025-01-06")
# The last ten weeks are for the test, the five before them for validation.
ROLLING = Split(time="day", validation="5w", test="10w")
DRAWS = 40
SEED = 1
NAMES = tuple(f"x{number}" for number in range(5))
FEATURES = tuple(Feature(name=name, type=FeatureType.NUMBER) for name in NAMES)
TREE = Candidate(name="tree", estimator="sklearn.tree.DecisionTreeClassifier", parameters={"min_samples_leaf": 5})
USE_CASE = UseCase(
    name="honest",
    title="Honest",
    kind=TaskKind.BINARY,
    key=RecordKey(name="order_id"),
    features=FEATURES,
    target=Target(name="y", classes=(0, 1)),
    source="none",
    candidates=(TREE,),
)


def groups(generator: np.random.Generator, *, grouped: bool = True) -> float:
    """The measured ROC AUC minus the true one, of orders that are split by customer or one by one."""
    orders, customers = _orders(generator)
    keys = [f"c{customer}" if grouped else f"o{place}" for place, customer in enumerate(customers)]
    later, _ = _orders(generator)
    return _overrated(orders, parts_of(keys, Split(seed=int(generator.integers(2**31)))), later)


def weeks(generator: np.random.Generator, *, in_time: bool = True) -> float:
    """The measured ROC AUC minus the true one, of records that are split by time or one by one."""
    records, week = _wandering(generator)
    times = np.array([FIRST_DAY + timedelta(weeks=int(each)) for each in week], dtype="datetime64[us]")
    is_later = week >= WEEKS
    known = times[~is_later]
    keys = [f"r{place}" for place in range(len(known))]
    parts = parts_in_time(known, borders_of(ROLLING, known.max().item())) if in_time else parts_of(keys, Split())
    return _overrated(records[~is_later], parts, records[is_later])


EXPERIMENTS: Mapping[str, tuple[str, Callable[[np.random.Generator], float]]] = {
    "split_honest_groups": ("orders, split by customer", groups),
    "split_honest_weeks": ("weeks that wander, split by time", weeks),
    "split_by_records_groups": ("the same orders, split one by one", partial(groups, grouped=False)),
    "split_by_records_weeks": ("the same weeks, split one by one", partial(weeks, in_time=False)),
}


def measure(draws: int = DRAWS) -> dict[str, float]:
    """How much better models look on the test part than they are, on average over draws, on all cores.

    Args:
        draws: How many; fewer for a quick look.
    """
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = {name: list(pool.map(_drawn, [name] * draws, range(draws))) for name in EXPERIMENTS}
    return {name: abs(float(np.mean(differences))) for name, differences in found.items()}


def ratios(measured: Mapping[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    return {name: value for name, value in measured.items() if name.startswith("split_honest")}


def show(measured: Mapping[str, float]) -> Table:
    """The measurement as a table."""
    table = Table("what", "measured minus true ROC AUC", title="Splits: how much better a model looks than it is")
    for name, (title, _) in EXPERIMENTS.items():
        table.add_row(title, f"{measured[name]:.4f}")
    return table


def _drawn(name: str, draw: int) -> float:
    _, experiment = EXPERIMENTS[name]
    return experiment(np.random.default_rng([SEED, draw]))


def _orders(generator: np.random.Generator) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    customers = np.repeat(np.arange(CUSTOMERS), ORDERS)
    features = generator.normal(size=(CUSTOMERS, len(NAMES)))[customers]
    return _frame(features, generator.integers(0, 2, CUSTOMERS)[customers]), customers


def _wandering(generator: np.random.Generator) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    count = WEEKS + LATER_WEEKS
    wandered = [0.0]
    for step in generator.normal(scale=0.6, size=count - 1):
        # Back to one half in the end: for ever in one class, there would be nothing to measure.
        wandered.append(0.9 * wandered[-1] + step)
    rates = 1 / (1 + np.exp(-np.array(wandered)))
    week = np.repeat(np.arange(count), RECORDS_OF_A_WEEK)
    features = generator.normal(size=(len(week), len(NAMES)))
    features[:, 0] = week + generator.uniform(-0.4, 0.4, len(week))
    return _frame(features, (generator.random(len(week)) < rates[week]).astype(int)), week


def _frame(features: NDArray[np.float64], target: NDArray[np.intp]) -> pd.DataFrame:
    return pd.DataFrame(features.astype(np.float32), columns=list(NAMES)).assign(y=target)


def _overrated(records: pd.DataFrame, parts: NDArray[np.str_], later: pd.DataFrame) -> float:
    train, validation, test = (records[parts == part] for part in PARTS)
    fitted = fit(USE_CASE, TREE, train, validation, test)
    scores = fitted_scores(fitted.pipeline, fitted.contract, later)
    true = evaluate(fitted.contract, truth(fitted.contract, later["y"].to_numpy()), scores)
    return fitted.test["roc_auc"] - true["roc_auc"]


if __name__ == "__main__":
    Console().print(show(measure()))

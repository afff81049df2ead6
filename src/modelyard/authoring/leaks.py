"""Which columns say what is to be predicted: those that are known only afterwards spoil a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modelyard.authoring.columns import Column, Table
from modelyard.authoring.features import Proposal
from modelyard.authoring.target import Goal
from modelyard.contract import FeatureType, TaskKind
from modelyard.sources.values import booleans

# How well a column alone foretells the target (area under the ROC curve, or R²) before it is doubted.
SUSPICIOUS = 0.98
FEWEST_RECORDS = 50
# Of the target's variance, what is left when columns are its parts: the rounding of what is written.
NO_REST = 1e-6
SMALLEST_WEIGHT = 1e-3
# A tree that asks a few questions of one column finds what is plainly there, and no more.
LEAVES = 16
SMALLEST_LEAF = 5

Values = NDArray[np.float64]


def leaks(table: Table, goal: Goal, proposals: Sequence[Proposal]) -> dict[str, float]:
    """The columns that tell the target by themselves, with how well they do, by name."""
    target = _target(table.sample.column(str(goal.column.position)).combine_chunks(), goal)
    known = ~np.isnan(target)
    if known.sum() < FEWEST_RECORDS:
        return {}
    found = {}
    for proposal in proposals:
        if proposal.type is not None:
            cells = table.sample.column(str(proposal.column.position)).combine_chunks()
            score = _score(_values(cells, proposal.column, proposal.type)[known], target[known], goal)
            if score >= SUSPICIOUS:
                found[proposal.column.name] = score
    return found


def leaks_together(table: Table, goal: Goal, proposals: Sequence[Proposal]) -> list[str]:
    """The columns whose weighted sum is the number to be predicted, such as the parts of a total; none if none is."""
    columns = [each.column for each in proposals if each.type in (FeatureType.NUMBER, FeatureType.INTEGER)]
    if goal.classes or len(columns) < 2:
        return []
    values = np.column_stack([_numbers(table, column) for column in (goal.column, *columns)])
    values = values[np.isfinite(values).all(axis=1)]
    if len(values) < FEWEST_RECORDS + len(columns):
        return []
    spread = values.std(axis=0)
    target, *parts = ((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1)).T
    weights, *_ = np.linalg.lstsq(np.column_stack(parts), target)
    if np.mean((target - np.column_stack(parts) @ weights) ** 2) > NO_REST:
        return []
    return [column.name for column, weight in zip(columns, weights, strict=True) if abs(weight) > SMALLEST_WEIGHT]


def _numbers(table: Table, column: Column) -> Values:
    return _as_floats(column.numbers(table.sample.column(str(column.position)).combine_chunks()).values)


def is_the_target(column: Column, goal: Goal, table: Table) -> bool:
    """Whether a column says just what the target says, in other words."""
    if not goal.classes or column.different != goal.column.different:
        return False
    names = [str(column.position), str(goal.column.position)]
    pairs = set(zip(*(table.sample.column(name).to_pylist() for name in names), strict=True))
    return len(pairs) == column.different and all(None not in pair for pair in pairs)


def _target(cells: pa.StringArray, goal: Goal) -> Values:
    if goal.kind is TaskKind.REGRESSION or goal.are_numbers:
        return _as_floats(goal.column.numbers(cells).values)
    place = {label: float(index) for index, label in enumerate(goal.classes)}
    return np.array([place.get(cell, np.nan) for cell in cells.to_pylist()])


def _values(cells: pa.StringArray, column: Column, kind: FeatureType) -> Values:
    """A column as numbers; of texts, each stands for how common it is and where it comes in the alphabet."""
    if kind is FeatureType.CATEGORY:
        texts = sorted({cell for cell in cells.to_pylist() if cell is not None})
        place = {text: float(index) for index, text in enumerate(texts)}
        return np.array([place.get(cell, -1.0) for cell in cells.to_pylist()])
    return _as_floats((booleans if kind is FeatureType.BOOLEAN else column.numbers)(cells).values)


def _as_floats(values: pa.Array) -> Values:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _score(values: Values, target: Values, goal: Goal) -> float:
    """How well one half of the records foretells the other half by this column alone."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    maker = DecisionTreeClassifier if goal.classes else DecisionTreeRegressor
    tree = maker(max_leaf_nodes=LEAVES, min_samples_leaf=SMALLEST_LEAF, random_state=0)
    column = values.reshape(-1, 1)
    tree.fit(column[::2], target[::2])
    return _judged(tree, column[1::2], target[1::2], goal)


def _judged(tree: Any, column: Values, target: Values, goal: Goal) -> float:
    from sklearn.metrics import r2_score, roc_auc_score

    if not goal.classes:
        return float(r2_score(target, tree.predict(column)))
    shares = tree.predict_proba(column)
    areas = [
        roc_auc_score(target == label, shares[:, index])
        for index, label in enumerate(tree.classes_)
        if 0 < np.count_nonzero(target == label) < len(target)
    ]
    return float(np.mean(areas)) if areas else 0.0

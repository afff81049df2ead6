"""A paired bootstrap of the primary metric: is one model really better than another on the same records?

Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 16. A resample is a row of weights, how often
each record was drawn; both models are judged with the same weights. Classes are resampled each by itself, so that
none of them goes missing. The areas under ROC curves of all resamples come from one sort of the scores.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import TaskKind

Weights = NDArray[np.float64]
Metric = Callable[[Weights], NDArray[np.float64]]

# Weights of so many records times resamples are held at a time: 32 MB.
CELLS_AT_A_TIME = 4_000_000


def paired_differences(
    kind: TaskKind,
    truth: NDArray[Any],
    scores: NDArray[np.floating[Any]],
    other_scores: NDArray[np.floating[Any]],
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """The primary metric of one model minus that of another, in each resample of the records.

    Args:
        kind: Which metric is the primary one: (macro one-vs-rest) ROC AUC, or R².
        truth: Class indices or values, of shape (records,).
        scores: One model's scores, of shape (records, classes) or (records, 1).
        other_scores: The other model's, of the same shape.
        resamples: How many.
        seed: Of the resampling.

    Returns:
        The differences, of shape (resamples,).
    """
    metric, other_metric = _metric(kind, truth, scores), _metric(kind, truth, other_scores)
    strata = truth if kind.is_classification else np.zeros(len(truth), dtype=np.intp)
    batches = _resamples(strata, resamples, np.random.default_rng(seed))
    return np.concatenate([metric(weights) - other_metric(weights) for weights in batches])


def _resamples(strata: NDArray[Any], resamples: int, generator: np.random.Generator) -> Iterator[Weights]:
    groups = [np.flatnonzero(strata == stratum) for stratum in np.unique(strata)]
    at_a_time = max(1, CELLS_AT_A_TIME // max(1, len(strata)))
    for start in range(0, resamples, at_a_time):
        weights = np.zeros((min(at_a_time, resamples - start), len(strata)))
        for row in weights:
            for group in groups:
                drawn = generator.integers(len(group), size=len(group))
                row[group] = np.bincount(drawn, minlength=len(group))
        yield weights


def _metric(kind: TaskKind, truth: NDArray[Any], scores: NDArray[np.floating[Any]]) -> Metric:
    if not kind.is_classification:
        return _r2(truth, scores[:, 0].astype(np.float64))
    if scores.shape[1] == 2:
        return _area(truth == 1, scores[:, 1])
    areas = [_area(truth == index, scores[:, index]) for index in range(scores.shape[1])]
    return lambda weights: np.mean([area(weights) for area in areas], axis=0)


def _area(positive: NDArray[np.bool_], score: NDArray[np.floating[Any]]) -> Metric:
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    is_positive = positive[order]
    first = np.searchsorted(ordered, ordered[is_positive], side="left")
    after = np.searchsorted(ordered, ordered[is_positive], side="right")

    def area(weights: Weights) -> NDArray[np.float64]:
        drawn = weights[:, order]
        below = np.zeros((len(drawn), len(order) + 1))
        np.cumsum(np.where(is_positive, 0.0, drawn), axis=1, out=below[:, 1:])
        of_positive = drawn[:, is_positive]
        # A pair with equal scores counts half, so the mean of those strictly below and those not above.
        ranked = np.einsum("rp,rp->r", of_positive, (below[:, first] + below[:, after]) / 2)
        return np.asarray(ranked / (of_positive.sum(axis=1) * below[:, -1]))

    return area


def _r2(truth: NDArray[Any], predicted: NDArray[np.float64]) -> Metric:
    squared_error = (truth - predicted) ** 2

    def r2(weights: Weights) -> NDArray[np.float64]:
        mean = weights @ truth / weights.sum(axis=1)
        spread = weights @ truth**2 - weights.sum(axis=1) * mean**2
        return np.asarray(1 - weights @ squared_error / spread)

    return r2

"""Intervals around a regression's answers that enclose the true value about as often as they promise.

The promise is that of conformal prediction (Vovk, Gammerman and Shafer 2005): half a width is a quantile of the
distances of held-out answers from the truth, counting one record more than there are. The distances are of models that
were fitted on somewhat fewer records than the one that is served, so intervals tend to be a little too wide; CV+
(Barber, Candès, Ramdas and Tibshirani 2021) does the same with each fold's model separately.

Where errors grow with the answer, so does the width: the distances are divided by what is usual for answers of that
size before the quantile is taken (Lei, G'Sell, Rinaldo, Tibshirani and Wasserman 2018).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Contract, Interval
from modelyard.errors import StepFailed
from modelyard.models.cross_validation import FOLDS, HeldOut
from modelyard.split import spread_evenly

# By the size of the answer; of fewer records a quantile says little.
RECORDS_PER_BIN = 50
MOST_BINS = 10
# Of the usual width: no answer is so sure that its interval is narrower.
LEAST_SHARE = 0.01

Values = NDArray[np.floating[Any]]


def fit_interval(contract: Contract, held: HeldOut, coverage: float, seed: int) -> Interval:
    """The interval that held-out answers ask for.

    It has one width for all answers, unless a width that depends on the answer does better on records that it was not
    derived from, by the interval score (Gneiting and Raftery 2007): the width, plus a penalty for what is outside.

    Args:
        contract: Of the model.
        held: Held-out answers of a regression.
        coverage: The share of true values that must be inside.
        seed: Of the folds on which the two are compared.

    Raises:
        StepFailed: There are too few records for such a promise.
    """
    fewest = math.ceil(coverage / (1 - coverage) - 1e-9)
    if len(held.truth) < fewest:
        raise StepFailed(
            f"{contract.use_case}: intervals={coverage:g} needs {fewest} held-out records, and there are "
            f"{len(held.truth)}"
        )
    answers, distances = held.scores[:, 0], np.abs(held.truth - held.scores[:, 0])
    bins = min(max(len(answers) // RECORDS_PER_BIN, 1), MOST_BINS)
    tried = [_cross_fitted(answers, distances, coverage, number, seed) for number in {1, bins}]
    number, factor, _ = min(tried, key=lambda each: each[2])
    at, usual = _usual(answers, distances, coverage, number)
    return Interval(coverage=coverage, at=tuple(at.tolist()), half_widths=tuple((factor * usual).tolist()))


def _cross_fitted(
    answers: Values, distances: Values, coverage: float, bins: int, seed: int
) -> tuple[int, float, float]:
    """With how many bins, by what usual widths must be multiplied to keep the promise, and the mean interval score."""
    folds, usual = spread_evenly(np.zeros(len(answers)), FOLDS, seed), np.empty(len(answers))
    for fold in np.unique(folds):
        inside = folds == fold
        at, widths = _usual(answers[~inside], distances[~inside], coverage, bins)
        usual[inside] = np.interp(answers[inside], at, widths)
    factor = _quantile(distances / usual, coverage)
    outside = np.maximum(distances - factor * usual, 0)
    return bins, factor, float(np.mean(2 * factor * usual + 2 / (1 - coverage) * outside))


def _usual(answers: Values, distances: Values, coverage: float, bins: int) -> tuple[Values, Values]:
    """Answers in rising order, and the quantile of the distances of those near each; in one bin nothing is usual."""
    if bins == 1:
        return answers.mean(keepdims=True), np.ones(1)
    inside = np.array_split(np.argsort(answers, kind="stable"), bins)
    at = np.array([answers[each].mean() for each in inside])
    widths = np.array([np.quantile(distances[each], coverage) for each in inside])
    least = max(LEAST_SHARE * float(np.quantile(distances, coverage)), float(np.finfo(np.float32).tiny))
    return at, np.maximum(widths, least)


def _quantile(values: Values, share: float) -> float:
    """The smallest value that is not below that share of these and one more."""
    place = math.ceil((len(values) + 1) * share - 1e-9)
    return float(np.sort(values)[place - 1])

"""How sure a difference between two models' primary metric is, when both were asked about the same records.

Both metrics, the (macro one-vs-rest) area under the ROC curve and R², are to first order means of what single records
bring in. So each record has an influence, and the squares of all influences add up to the metric's variance. Of areas
that is the variance of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988). Influences of two models on the same
records can be subtracted, and those of several classes averaged, so that covariances come by themselves.

A variance that comes from few records, or from a few that count for nearly all, is itself uncertain: Student's t takes
the place of the normal distribution, with the degrees of freedom that Satterthwaite, Biometrics 2 (1946), gives to the
sum of the classes' variances, each by its fourth moment. Unlike resamples, the bounds hold at any error rate.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata, t

from modelyard.contract import TaskKind

Floats = NDArray[np.float64]
# Fewer make no bound truer in the simulations, and refuse everything where two models differ on two or three records.
LEAST_FREEDOM = 3


class Measured(NamedTuple):
    """The primary metric of a model on some records, or its difference to another one's.

    Attributes:
        value: The metric.
        influences: What each record brings in, of shape (records,); their squares add up to the metric's variance.
        strata: The class of each record, or zeros in a regression.
        chance_error: The standard error of a model whose scores say nothing; 0 in a regression.
    """

    value: float
    influences: Floats
    strata: NDArray[Any]
    chance_error: float

    def minus(self, other: "Measured") -> "Measured":
        """The difference to another model on the same records."""
        return self._replace(value=self.value - other.value, influences=self.influences - other.influences)


def measure(kind: TaskKind, truth: NDArray[Any], scores: NDArray[np.floating[Any]]) -> Measured:
    """Measures a model by the primary metric.

    Args:
        kind: Which metric that is: the (macro one-vs-rest) area under the ROC curve, or R².
        truth: Class indices or values, of shape (records,). Each class has two records at least.
        scores: Of shape (records, classes) or (records, 1).
    """
    if not kind.is_classification:
        return _r2(truth, scores[:, 0].astype(np.float64))
    shown = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    areas = [_area(truth == index, scores[:, index]) for index in shown]
    values, influences, errors = zip(*areas, strict=True)
    # As if all areas erred together: the macro area of noise errs by no more.
    return Measured(float(np.mean(values)), np.mean(influences, axis=0), truth, float(np.mean(errors)))


def lower_bound(difference: Measured, error_rate: float) -> float:
    """What the true difference is above, but for a chance of `error_rate`."""
    error, freedom = _error(difference)
    return difference.value - float(t.isf(error_rate, freedom)) * error


def lower_bound_beside_chance(difference: Measured, error_rate: float) -> float:
    """The same of a difference to a model that says nothing, which holds for models of noise however few records are.

    Such a model's area has a known error, which the records at hand may understate.
    """
    by_chance = float(norm.isf(error_rate)) * difference.chance_error
    return min(lower_bound(difference, error_rate), difference.value - by_chance)


def _area(positive: NDArray[np.bool_], score: NDArray[np.floating[Any]]) -> tuple[float, Floats, float]:
    """Area, influences and chance error. A record brings in the share of the other side that it is told apart from."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    rank = rankdata(score)
    apart = np.empty(len(score))
    apart[positive] = (rank[positive] - rankdata(score[positive])) / negatives
    apart[~positive] = 1 - (rank[~positive] - rankdata(score[~positive])) / positives
    area = float(apart[positive].mean())
    size = np.where(positive, positives * (positives - 1), negatives * (negatives - 1))
    # Mann and Whitney's variance where the order of the records is chance.
    chance_error = np.sqrt((len(score) + 1) / (12 * positives * negatives))
    return area, (apart - area) / np.sqrt(size), float(chance_error)


def _r2(truth: NDArray[Any], predicted: Floats) -> Measured:
    records = len(truth)
    from_mean, missed = (truth - truth.mean()) ** 2, (truth - predicted) ** 2
    left = missed.mean() / from_mean.mean()
    influences = (left * from_mean - missed) / (from_mean.mean() * np.sqrt(records * (records - 1)))
    return Measured(float(1 - left), influences, np.zeros(records, dtype=np.intp), 0.0)


def _error(measured: Measured) -> tuple[float, float]:
    """Standard error and its degrees of freedom."""
    parts = [measured.influences[measured.strata == stratum] for stratum in np.unique(measured.strata)]
    variances = np.array([np.sum(part**2) for part in parts])
    uncertainty = sum(variance**2 / _freedom(part) for variance, part in zip(variances, parts, strict=True))
    freedom = variances.sum() ** 2 / uncertainty if uncertainty > 0 else 1.0
    return float(np.sqrt(variances.sum())), float(freedom)


def _freedom(influences: Floats) -> float:
    """Degrees of freedom of a variance: the more a few records count for, the fewer."""
    squares = influences**2
    if not squares.any():
        return 1.0
    # 0 where all count alike. A variance's own one is as that of a normal one with so many degrees of freedom.
    spread = float(np.mean(squares**2) / np.mean(squares) ** 2) - 1
    most = len(squares) - 1
    return float(np.clip(2 * len(squares) / max(spread, 1e-9) - 1, min(LEAST_FREEDOM, most), most))

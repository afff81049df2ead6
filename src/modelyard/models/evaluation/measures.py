"""A model's metrics on some records, each with what the records bring in, so that bounds can be given for it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from modelyard.contract import Label
from modelyard.models.evaluation.reliability import LEAST_PROBABILITY
from modelyard.models.evaluation.significance import Floats, Measured, effective_count
from modelyard.objective import LOSSES, Objective

Flags = NDArray[np.bool_]


class Predictions(NamedTuple):
    """What a model says of records, beside what is true.

    Attributes:
        objective: What it is to be good at.
        truth: Class indices or values, of shape (records,).
        scores: Probabilities of shape (records, classes), or values of shape (records, 1).
        decided: The indices of the classes that are told; of a regression nothing.
        classes: The labels in the order of the indices.
        clusters: The cluster of each record; None: each is its own.
    """

    objective: Objective
    truth: NDArray[Any]
    scores: Floats
    decided: NDArray[np.intp]
    classes: tuple[Label, ...] = ()
    clusters: NDArray[Any] | None = None

    def on(self, records: Flags) -> "Predictions":
        """The same of some of the records."""
        return self._replace(
            truth=self.truth[records],
            scores=self.scores[records],
            decided=self.decided[records] if len(self.classes) else self.decided,
            clusters=None if self.clusters is None else self.clusters[records],
        )

    def told(self, place: int) -> "Predictions":
        """What a model says that tells every record the same class."""
        return self._replace(decided=np.full(len(self.truth), place, dtype=np.intp))


def measure(metric: str, predictions: Predictions) -> Measured:
    """Measures a model.

    Args:
        metric: One of those that an objective can have.
        predictions: What the model says. Each class has a record at least.
    """
    return MEASURES[metric](predictions)._replace(clusters=predictions.clusters)


def improvement(metric: str, model: Measured, other: Measured) -> Measured:
    """By how much a model is better than another one on the same records, by a metric or a loss."""
    return other.minus(model) if metric in LOSSES else model.minus(other)


def _mean(records: NDArray[Any]) -> Measured:
    """A mean of what each record has by itself."""
    each = records.astype(np.float64)
    value = each.mean()
    return Measured(float(value), (each - value) / len(each), np.zeros(len(each), dtype=np.intp))


def _roc_auc(predictions: Predictions) -> Measured:
    shown = [1] if len(predictions.classes) == 2 else range(len(predictions.classes))
    areas = [_area(predictions.truth == place, predictions.scores[:, place], predictions.clusters) for place in shown]
    values, influences, errors = zip(*areas, strict=True)
    # As if all areas erred together: the macro area of noise errs by no more.
    return Measured(
        float(np.mean(values)), np.mean(influences, axis=0), predictions.truth, chance_error=float(np.mean(errors))
    )


def _area(positive: Flags, score: Floats, clusters: NDArray[Any] | None) -> tuple[float, Floats, float]:
    """Area, influences and chance error. A record brings in the share of the other side that it is told apart from."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    rank = rankdata(score)
    apart = np.empty(len(score))
    apart[positive] = (rank[positive] - rankdata(score[positive])) / negatives
    apart[~positive] = 1 - (rank[~positive] - rankdata(score[~positive])) / positives
    area = float(apart[positive].mean())
    yes, no = effective_count(positive, clusters), effective_count(~positive, clusters)
    # Mann and Whitney's variance where the order of the records is chance.
    chance_error = np.sqrt((yes + no + 1) / (12 * yes * no))
    return area, (apart - area) / np.where(positive, positives, negatives), float(chance_error)


def _average_precision(predictions: Predictions) -> Measured:
    """The mean precision at the positives, as scikit-learn counts it; its influences are its derivatives by weights."""
    positive, score = predictions.truth == 1, predictions.scores[:, 1]
    levels, place = np.unique(-score, return_inverse=True)
    there = np.bincount(place, minlength=len(levels)).astype(np.float64)
    hits = np.bincount(place, weights=positive, minlength=len(levels))
    above, found = np.cumsum(there), np.cumsum(hits)
    precision = found / above
    positives = float(positive.sum())
    value = float(np.sum(hits * precision) / positives)
    # What a record changes at its own place and at all those below it.
    gained = np.cumsum((hits / above)[::-1])[::-1]
    diluted = np.cumsum((hits * found / above**2)[::-1])[::-1]
    influences = (positive * (precision[place] - value + gained[place]) - diluted[place]) / positives
    return Measured(value, influences, np.zeros(len(score), dtype=np.intp))


def _log_loss(predictions: Predictions) -> Measured:
    given = _probabilities(predictions)[np.arange(len(predictions.truth)), predictions.truth]
    return _mean(-np.log(np.clip(given, LEAST_PROBABILITY, 1)))


def _brier_score(predictions: Predictions) -> Measured:
    missed = (_probabilities(predictions) - np.eye(len(predictions.classes))[predictions.truth]) ** 2
    return _mean(missed[:, 1] if len(predictions.classes) == 2 else missed.sum(axis=1))


def _probabilities(predictions: Predictions) -> Floats:
    """The scores; where the other model does not know a class, what is left to the others made whole."""
    scores = predictions.scores
    total = scores.sum(axis=1, keepdims=True)
    whole: Floats = np.divide(scores, total, out=np.full_like(scores, 1 / scores.shape[1]), where=total > 0)
    return whole


def _accuracy(predictions: Predictions) -> Measured:
    return _mean(predictions.decided == predictions.truth)


def _cost(predictions: Predictions) -> Measured:
    labels, objective = predictions.classes, predictions.objective
    table = np.array([[objective.cost_of(actual, told) for told in labels] for actual in labels])
    return _mean(table[predictions.truth, predictions.decided])


def _balanced_accuracy(predictions: Predictions) -> Measured:
    truth, right = predictions.truth, (predictions.decided == predictions.truth).astype(np.float64)
    count = np.bincount(truth, minlength=len(predictions.classes))
    recall = np.bincount(truth, weights=right, minlength=len(predictions.classes)) / count
    influences = (right - recall[truth]) / (count[truth] * len(count))
    return Measured(float(recall.mean()), influences, truth)


def _f1(predictions: Predictions) -> Measured:
    shown = [1] if len(predictions.classes) == 2 else range(len(predictions.classes))
    found = [_f1_of(predictions.truth == place, predictions.decided == place) for place in shown]
    values, influences = zip(*found, strict=True)
    return Measured(float(np.mean(values)), np.mean(influences, axis=0), np.zeros(len(influences[0]), dtype=np.intp))


def _f1_of(positive: Flags, told: Flags) -> tuple[float, Floats]:
    hits, all_told = 2.0 * (positive & told), positive.astype(np.float64) + told
    value = hits.sum() / all_told.sum()
    return float(value), (hits - value * all_told) / all_told.sum()


def _r2(predictions: Predictions) -> Measured:
    truth, missed = predictions.truth, _missed(predictions) ** 2
    from_mean = (truth - truth.mean()) ** 2
    left = missed.mean() / from_mean.mean()
    influences = (left * from_mean - missed) / (from_mean.mean() * len(truth))
    return Measured(float(1 - left), influences, np.zeros(len(truth), dtype=np.intp))


def _root_mean_squared_error(predictions: Predictions) -> Measured:
    mean = _mean(_missed(predictions) ** 2)
    root = float(np.sqrt(mean.value))
    return mean._replace(value=root, influences=mean.influences / (2 * root) if root else mean.influences)


def _mean_absolute_error(predictions: Predictions) -> Measured:
    return _mean(np.abs(_missed(predictions)))


def _mean_pinball_loss(predictions: Predictions) -> Measured:
    missed, quantile = _missed(predictions), predictions.objective.quantile
    assert quantile is not None  # The objective wants one with this metric.  # noqa: S101
    return _mean(np.maximum(quantile * missed, (quantile - 1) * missed))


def _missed(predictions: Predictions) -> Floats:
    missed: Floats = predictions.truth - predictions.scores[:, 0]
    return missed


MEASURES: Mapping[str, Callable[[Predictions], Measured]] = {
    "roc_auc": _roc_auc,
    "roc_auc_ovr": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
    "brier_score": _brier_score,
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "f1_macro": _f1,
    "cost": _cost,
    "r2": _r2,
    "mean_absolute_error": _mean_absolute_error,
    "root_mean_squared_error": _root_mean_squared_error,
    "mean_pinball_loss": _mean_pinball_loss,
}

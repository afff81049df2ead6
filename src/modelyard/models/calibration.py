"""Probabilities that mean what they say: the share of records like this one that are of the class.

All that is done to a model's probabilities `p` is one formula, which compiles to five nodes of a graph:

    softmax(slopes * log(p + SMALL) + intercepts)

- With two classes it is beta calibration (Kull, Silva Filho and Flach 2017), which is Platt's sigmoid (1999) where both
  slopes are equal; with more, vector scaling (Guo, Pleiss, Sun and Weinberger 2017).
- With slopes of 1 and the logarithm of by how much sampling changed each class's share, it is the correction of the
  priors (Saerens, Latinne and Decaestecker 2002).
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin

from modelyard.contract import Calibration, Contract
from modelyard.models.cross_validation import FOLDS, HeldOut
from modelyard.models.evaluation.reliability import log_losses
from modelyard.split import spread_evenly

# Keeps the logarithm finite. No smaller, as compiled models tell distances from 1 by 6e-8.
SMALL = 1e-4
# With fewer held-out records of some class, what a calibration learns is their chance.
FEWEST_OF_A_CLASS = 20
# With slopes of 0 everybody would have the same probability.
LEAST_SLOPE = 0.05
# So much does an intercept or a slope off by one weigh, in records.
PRIOR_WEIGHT = 1.0

Scores = NDArray[np.floating[Any]]


class Calibrated(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier with calibrated probabilities.

    Attributes:
        estimator: The classifier, fitted.
        slopes: Of the formula, in the order of the estimator's classes.
        intercepts: The same.
    """

    def __init__(self, estimator: Any, slopes: list[float], intercepts: list[float]) -> None:
        self.estimator = estimator
        self.slopes = slopes
        self.intercepts = intercepts

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels, sorted."""
        return np.asarray(self.estimator.classes_)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803 (names that scikit-learn knows)
        """Fits the classifier; the formula stays."""
        self.estimator.fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Scores:  # noqa: N803
        """The calibrated probabilities, of shape (records, classes)."""
        return calibrate(self.estimator.predict_proba(X), self._formula)

    @property
    def _formula(self) -> Calibration:
        return Calibration(slopes=tuple(self.slopes), intercepts=tuple(self.intercepts))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each record."""
        return np.asarray(self.classes_[np.argmax(self.predict_proba(X), axis=1)])


def calibrate(scores: Scores, calibration: Calibration) -> Scores:
    """Probabilities of shape (records, classes) by the formula."""
    logits = np.array(calibration.slopes) * np.log(scores + SMALL) + np.array(calibration.intercepts)
    return np.asarray(softmax(logits, axis=1))


def calibrated(scores: Scores, calibration: Calibration | None) -> Scores:
    """The same, where there may be none."""
    return calibrate(scores, calibration) if calibration else scores


def prior_correction(contract: Contract, records: pd.DataFrame, fitted: pd.DataFrame) -> Calibration | None:
    """What gives the classes back the shares that they had before they were undersampled.

    Args:
        contract: Says the target and its classes.
        records: What was sampled.
        fitted: What came of it. The same: there is nothing to correct.
    """
    if len(fitted) == len(records):
        return None
    before, after = (_counts(contract, part) / len(part) for part in (records, fitted))
    return Calibration(slopes=(1,) * len(before), intercepts=tuple(np.log(before / after).tolist()))


def fit_calibration(held: HeldOut, start: Calibration | None, seed: int) -> Calibration | None:
    """The calibration that held-out answers ask for.

    It is the one to start from unless the log loss of the answers is lower when each fifth of them is calibrated by
    the others, and with few records of some class. The slopes are above 0: of two classes, the ranking stays.

    Args:
        held: Held-out answers of a classification, as the model gives them.
        start: What is done to them anyway; None: nothing.
        seed: Of the fifths.
    """
    truth, scores = held.truth, held.scores
    if np.bincount(truth, minlength=scores.shape[1]).min() < FEWEST_OF_A_CLASS:
        return start
    folds, tried = spread_evenly(truth, FOLDS, seed), np.empty_like(scores)
    for fold in np.unique(folds):
        inside = folds == fold
        tried[inside] = calibrate(scores[inside], _fit(truth[~inside], scores[~inside], start))
    if log_losses(truth, tried).mean() >= log_losses(truth, calibrated(scores, start)).mean():
        return start
    return _fit(truth, scores, start)


def _counts(contract: Contract, part: pd.DataFrame) -> NDArray[np.float64]:
    counts = part[contract.target.name].value_counts()
    return np.array([counts.get(label, 0) for label in contract.target.classes], dtype=np.float64)


def _fit(truth: NDArray[np.intp], scores: Scores, start: Calibration | None) -> Calibration:
    """The slopes and the intercepts with the lowest log loss; few records keep them near those to start from."""
    logarithms, happened = np.log(scores + SMALL), np.eye(classes := scores.shape[1])[truth]
    first = np.array([*start.slopes, *start.intercepts] if start else [*np.ones(classes), *np.zeros(classes)])

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        tried = softmax(parameters[:classes] * logarithms + parameters[classes:], axis=1)
        error, moved = tried - happened, PRIOR_WEIGHT * (parameters - first)
        gradient = np.concatenate([(error * logarithms).sum(axis=0), error.sum(axis=0)]) + 2 * moved
        value = log_losses(truth, tried).sum() + np.sum(moved * (parameters - first))
        return float(value) / len(truth), gradient / len(truth)

    bounds = [*[(LEAST_SLOPE, None)] * classes, *[(None, None)] * classes]
    found = minimize(loss, first, jac=True, method="L-BFGS-B", bounds=bounds).x.tolist()
    return Calibration(slopes=tuple(found[:classes]), intercepts=tuple(found[classes:]))

"""How reliable probabilities are: their metrics with intervals, and the bins of the reliability diagram.

With two classes, it is the probability of the second one that is examined, with more that of the likeliest one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Contract, Estimate, Reliability, ReliabilityBin
from modelyard.models.evaluation.significance import Measured, interval

BINS = 10
# Half the width of an interval of 95 % of a normal distribution.
DEVIATIONS = 1.96
# A probability of 0 for what happened has no logarithm; nobody is surer than a float32 can say.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)

Scores = NDArray[np.floating[Any]]
Happened = NDArray[np.bool_]
Clusters = NDArray[Any] | None


def log_losses(truth: NDArray[np.intp], scores: Scores) -> NDArray[np.float64]:
    """Minus the logarithm of what was given to each record's true class.

    Args:
        truth: Class indices.
        scores: Probabilities of shape (records, classes).
    """
    given = scores[np.arange(len(truth)), truth].astype(np.float64)
    return np.asarray(-np.log(np.clip(given, LEAST_PROBABILITY, 1)))


def brier_losses(truth: NDArray[np.intp], scores: Scores) -> NDArray[np.float64]:
    """The squared distance of each record's probabilities from what happened; of two classes, of the second one's."""
    squares = (scores - np.eye(scores.shape[1])[truth]) ** 2
    return np.asarray(squares[:, 1] if scores.shape[1] == 2 else squares.sum(axis=1))


def asked_about(truth: NDArray[np.intp], scores: Scores) -> tuple[Happened, Scores]:
    """Whether what was given a probability happened, and that probability."""
    if scores.shape[1] == 2:
        return truth == 1, scores[:, 1]
    likeliest = scores.argmax(axis=1)
    return truth == likeliest, scores.max(axis=1)


def calibration_error(happened: Happened, probability: Scores, clusters: Clusters = None) -> Estimate:
    """How far probabilities are from the share that happens, beyond what perfect ones of the same values would show.

    Records are put into ten bins of equal counts by their probability. The mean distance of a bin's mean probability
    from its share is above 0 for perfect probabilities too, as shares are of few records: what a normal distribution
    says of that distance is subtracted. For probabilities that are not perfect that is too much, by an unknown amount:
    so the upper end of the interval is that of the whole distance.

    Args:
        happened: Whether what was given a probability happened.
        probability: The probability.
        clusters: The cluster of each record; None: each is its own.
    """
    distance, by_chance = _distances(happened, probability, clusters)
    beyond = _estimate(distance._replace(value=distance.value - by_chance))
    return beyond.model_copy(update={"high": _estimate(distance).high})


def distance_beyond_chance(happened: Happened, probability: Scores) -> float:
    """The same number where it may be below 0, as it is for every second perfect model: for means over several."""
    distance, by_chance = _distances(happened, probability, None)
    return distance.value - by_chance


def _distances(happened: Happened, probability: Scores, clusters: Clusters) -> tuple[Measured, float]:
    """The mean distance of probabilities from shares, and that of perfect ones."""
    count = len(probability)
    influences, value, by_chance = np.zeros(count), 0.0, 0.0
    for inside in _bins(probability):
        gap = happened[inside] - probability[inside]
        value += abs(gap.sum()) / count
        influences[inside] = np.sign(gap.sum()) * (gap - gap.mean()) / count
        variance = np.sum(probability[inside] * (1 - probability[inside])) * _repetition(gap, clusters, inside)
        by_chance += np.sqrt(2 / np.pi * variance) / count
    return Measured(float(value), influences, np.zeros(count), clusters=clusters), float(by_chance)


def _repetition(gap: Scores, clusters: Clusters, inside: NDArray[np.intp]) -> float:
    """How many times larger the variance of a bin's share is, as records of one cluster are alike; 1 at least."""
    alone = float(np.sum((gap - gap.mean()) ** 2))
    if clusters is None or alone == 0:
        return 1.0
    together = np.bincount(np.unique(clusters[inside], return_inverse=True)[1], weights=gap - gap.mean())
    return max(1.0, float(np.sum(together**2)) / alone)


def reliability_of(truth: NDArray[np.intp], scores: Scores, clusters: Clusters = None) -> Reliability:
    """What is to be known of the probabilities of a classification, from records that were not fitted on.

    Args:
        truth: Class indices.
        scores: Probabilities of shape (records, classes).
        clusters: The cluster of each record; None: each is its own.
    """
    happened, probability = asked_about(truth, scores)
    return Reliability(
        log_loss=_mean(log_losses(truth, scores), clusters),
        brier_score=_mean(brier_losses(truth, scores), clusters),
        calibration_error=calibration_error(happened, probability, clusters),
        bins=tuple(
            ReliabilityBin(
                records=len(inside), probability=float(probability[inside].mean()), share=float(happened[inside].mean())
            )
            for inside in _bins(probability)
        ),
    )


def probability_metrics(truth: NDArray[np.intp], scores: Scores, clusters: Clusters = None) -> dict[str, float]:
    """Log loss, Brier score and calibration error, each with the ends of its interval of 95 %."""
    found = reliability_of(truth, scores, clusters)
    estimates = {name: getattr(found, name) for name in ("log_loss", "brier_score", "calibration_error")}
    return {
        name + ending: float(value)
        for name, estimate in estimates.items()
        for ending, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }


def with_reliability(contract: Contract, truth: NDArray[Any], scores: Scores, clusters: Clusters = None) -> Contract:
    """The contract of a classification with what the test part says of its probabilities."""
    if not contract.kind.is_classification:
        return contract
    return contract.model_copy(update={"reliability": reliability_of(truth, scores, clusters)})


def _bins(probability: Scores) -> Iterator[NDArray[np.intp]]:
    """The positions of the records of each bin, from the smallest probabilities to the largest."""
    order = np.argsort(probability, kind="stable")
    return (inside for inside in np.array_split(order, BINS) if len(inside))


def _mean(losses: NDArray[np.float64], clusters: Clusters) -> Estimate:
    mean, count = float(losses.mean()), len(losses)
    return _estimate(Measured(mean, (losses - mean) / count, np.zeros(count), clusters=clusters))


def _estimate(measured: Measured) -> Estimate:
    low, high = interval(measured, 0.0)
    return Estimate(value=max(measured.value, 0.0), low=max(low, 0.0), high=max(high, 0.0))

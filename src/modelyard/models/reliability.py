"""How reliable probabilities are: their metrics with intervals, and the bins of the reliability diagram.

With two classes, it is the probability of the second one that is examined, with more that of the likeliest one.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Contract, Estimate, Reliability, ReliabilityBin

BINS = 10
# Half the width of an interval of 95 % of a normal distribution.
DEVIATIONS = 1.96
# A probability of 0 for what happened has no logarithm; nobody is surer than a float32 can say.
LEAST_PROBABILITY = float(np.finfo(np.float32).eps)

Scores = NDArray[np.floating[Any]]
Happened = NDArray[np.bool_]


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


def calibration_error(happened: Happened, probability: Scores) -> Estimate:
    """How far probabilities are from the share that happens, beyond what perfect ones of the same values would show.

    Records are put into ten bins of equal counts by their probability. The mean distance of a bin's mean probability
    from its share is above 0 for perfect probabilities too, as shares are of few records: what a normal distribution
    says of that distance is subtracted. For probabilities that are not perfect that is too much, by an unknown amount:
    so the upper end of the interval is that of the whole distance.
    """
    distance, by_chance, deviation = _distances(happened, probability)
    beyond, whole = (_estimate(value, deviation) for value in (distance - by_chance, distance))
    return beyond.model_copy(update={"high": whole.high})


def distance_beyond_chance(happened: Happened, probability: Scores) -> float:
    """The same number where it may be below 0, as it is for every second perfect model: for means over several."""
    distance, by_chance, _ = _distances(happened, probability)
    return distance - by_chance


def _distances(happened: Happened, probability: Scores) -> tuple[float, float, float]:
    """The mean distance of probabilities from shares, that of perfect ones, and the first one's standard deviation."""
    distance = by_chance = variance = 0.0
    for inside in _bins(probability):
        weight, gap = len(inside) / len(probability), happened[inside] - probability[inside]
        distance += weight * abs(gap.mean())
        by_chance += weight * np.sqrt(2 / np.pi * np.sum(probability[inside] * (1 - probability[inside]))) / len(inside)
        variance += weight**2 * gap.var() / len(inside)
    return float(distance), float(by_chance), float(np.sqrt(variance))


def reliability_of(truth: NDArray[np.intp], scores: Scores) -> Reliability:
    """What is to be known of the probabilities of a classification, from records that were not fitted on."""
    happened, probability = asked_about(truth, scores)
    return Reliability(
        log_loss=_mean(log_losses(truth, scores)),
        brier_score=_mean(brier_losses(truth, scores)),
        calibration_error=calibration_error(happened, probability),
        bins=tuple(
            ReliabilityBin(
                records=len(inside), probability=float(probability[inside].mean()), share=float(happened[inside].mean())
            )
            for inside in _bins(probability)
        ),
    )


def probability_metrics(truth: NDArray[np.intp], scores: Scores) -> dict[str, float]:
    """Log loss, Brier score and calibration error, each with the ends of its interval of 95 %."""
    found = reliability_of(truth, scores)
    estimates = {name: getattr(found, name) for name in ("log_loss", "brier_score", "calibration_error")}
    return {
        name + ending: float(value)
        for name, estimate in estimates.items()
        for ending, value in (("", estimate.value), ("_low", estimate.low), ("_high", estimate.high))
    }


def with_reliability(contract: Contract, truth: NDArray[Any], scores: Scores) -> Contract:
    """The contract of a classification with what the test part says of its probabilities."""
    if not contract.kind.is_classification:
        return contract
    return contract.model_copy(update={"reliability": reliability_of(truth, scores)})


def _bins(probability: Scores) -> Iterator[NDArray[np.intp]]:
    """The positions of the records of each bin, from the smallest probabilities to the largest."""
    order = np.argsort(probability, kind="stable")
    return (inside for inside in np.array_split(order, BINS) if len(inside))


def _mean(losses: NDArray[np.float64]) -> Estimate:
    return _estimate(float(losses.mean()), float(losses.std() / np.sqrt(len(losses))))


def _estimate(value: float, deviation: float) -> Estimate:
    low, high = value - DEVIATIONS * deviation, value + DEVIATIONS * deviation
    return Estimate(value=max(value, 0.0), low=max(low, 0.0), high=max(high, 0.0))

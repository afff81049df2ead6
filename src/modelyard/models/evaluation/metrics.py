"""How good a model is: metrics for every kind of task, and the threshold of a binary one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from modelyard.contract import Contract, Interval, TaskKind
from modelyard.errors import StepFailed
from modelyard.models.evaluation.reliability import probability_metrics
from modelyard.objective import Objective

Scores = NDArray[np.floating[Any]]
Counts = NDArray[np.float64]


def class_indices(contract: Contract, labels: NDArray[Any]) -> NDArray[np.intp]:
    """The position of each label among the contract's classes.

    Raises:
        StepFailed: A label is none of them.
    """
    position = {label: index for index, label in enumerate(contract.target.classes)}
    unknown = sorted(str(label) for label in set(labels.tolist()) - position.keys())
    if unknown:
        raise StepFailed(f"{contract.use_case}: the model does not know the class {', '.join(unknown)}: train it again")
    return np.array([position[label] for label in labels.tolist()], dtype=np.intp)


def truth(contract: Contract, target: NDArray[Any]) -> NDArray[Any]:
    """The target as metrics take it: class indices, or a regression's values as float64.

    Raises:
        StepFailed: A label is none of the contract's classes.
    """
    if contract.kind.is_classification:
        return class_indices(contract, target)
    return np.asarray(target, dtype=np.float64)


def choose_threshold(
    objective: Objective, positive: NDArray[np.bool_], probability: NDArray[np.floating[Any]]
) -> float:
    """The threshold whose decisions are the best by the decision metric, of several such ones the lowest.

    It lies half-way between two neighbouring probabilities, so that a difference in the last digit decides nothing.

    Args:
        objective: Says the decision metric, and what wrong answers cost if that is what it is.
        positive: Whether each record is of the positive class.
        probability: The model's probability of it.
    """
    levels, place = np.unique(probability.astype(np.float64), return_inverse=True)
    # From each level on, and from above the last one on.
    edges = np.array([0.0, *levels, 1.0])
    if edges[-2] >= 1:
        edges = edges[:-1]
    true_below = np.bincount(place, weights=positive, minlength=len(levels)).cumsum()
    false_below = np.bincount(place, weights=~positive, minlength=len(levels)).cumsum()
    missed, spared = np.array([0.0, *true_below]), np.array([0.0, *false_below])
    told = len(edges) - 1
    errors = _decision_errors(objective, missed[:told], missed[-1], spared[-1] - spared[:told], spared[-1])
    best = int(np.argmin(errors))
    return float((edges[best] + edges[best + 1]) / 2)


def _decision_errors(
    objective: Objective, missed: Counts, positives: float, false_alarms: Counts, negatives: float
) -> Counts:
    """What is to be least, for each threshold."""
    if objective.decision_metric == "cost":
        negative, positive = objective.classes
        return missed * objective.cost_of(positive, negative) + false_alarms * objective.cost_of(negative, positive)
    if objective.decision_metric == "accuracy":
        return missed + false_alarms
    if objective.decision_metric == "balanced_accuracy":
        return missed / max(positives, 1) + false_alarms / max(negatives, 1)
    hits = positives - missed
    return -np.divide(2 * hits, 2 * hits + missed + false_alarms, out=np.zeros_like(hits), where=hits > 0)


def evaluate(
    contract: Contract,
    truth: NDArray[Any],
    scores: Scores,
    objective: Objective | None = None,
    clusters: NDArray[Any] | None = None,
) -> dict[str, float]:
    """All metrics of a model on one part of a snapshot.

    Args:
        contract: Says the kind of task, the classes and the threshold.
        truth: Class indices or values, of shape (records,).
        scores: Probabilities of shape (records, classes), or values of shape (records, 1).
        objective: Says what wrong answers cost, or which quantile is meant, where that is to be among the metrics.
        clusters: The cluster of each record, where records depend on each other: intervals count clusters.

    Returns:
        Metrics by name, with all of those that an objective can have.

    Raises:
        StepFailed: A class has no record in this part, so that nothing can be said of it.
    """
    if contract.kind is TaskKind.REGRESSION:
        quantile = objective.quantile if objective else None
        of_answers = _regression(truth, scores[:, 0]) | _of_quantile(truth, scores[:, 0], quantile)
        return of_answers | _interval(contract.interval, truth, scores[:, 0])
    missing = [str(c) for i, c in enumerate(contract.target.classes) if not np.any(truth == i)]
    if missing:
        raise StepFailed(f"{contract.use_case}: no record of class {', '.join(missing)} to judge a model by")
    decided = contract.decide(scores)
    return _of_decisions(contract, truth, scores, decided, objective) | probability_metrics(truth, scores, clusters)


def _of_decisions(
    contract: Contract, truth: NDArray[Any], scores: Scores, decided: NDArray[np.intp], objective: Objective | None
) -> dict[str, float]:
    if len(contract.target.classes) == 2:
        cost = _mean_cost(contract, truth, decided, objective) if objective and objective.costs else {}
        return _binary(truth, scores, decided) | cost
    return _multiclass(truth, scores, decided)


def _binary(truth: NDArray[Any], scores: Scores, decided: NDArray[np.intp]) -> dict[str, float]:
    probability = scores[:, 1]
    return {
        "roc_auc": float(metrics.roc_auc_score(truth, probability)),
        "average_precision": float(metrics.average_precision_score(truth, probability)),
        "accuracy": float(metrics.accuracy_score(truth, decided)),
        "precision": float(metrics.precision_score(truth, decided, zero_division=0)),
        "recall": float(metrics.recall_score(truth, decided, zero_division=0)),
        "f1": float(metrics.f1_score(truth, decided, zero_division=0)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, decided)),
        "share_called_positive": float(np.mean(decided == 1)),
    }


def _mean_cost(
    contract: Contract, truth: NDArray[Any], decided: NDArray[np.intp], objective: Objective
) -> dict[str, float]:
    labels = contract.target.classes
    table = np.array([[objective.cost_of(actual, told) for told in labels] for actual in labels])
    return {"cost": float(table[truth, decided].mean())}


def _multiclass(truth: NDArray[Any], scores: Scores, decided: NDArray[np.intp]) -> dict[str, float]:
    each = [metrics.roc_auc_score(truth == index, scores[:, index]) for index in range(scores.shape[1])]
    return {
        "roc_auc_ovr": float(np.mean(each)),
        "accuracy": float(metrics.accuracy_score(truth, decided)),
        "f1_macro": float(metrics.f1_score(truth, decided, average="macro", zero_division=0)),
        "precision_macro": float(metrics.precision_score(truth, decided, average="macro", zero_division=0)),
        "recall_macro": float(metrics.recall_score(truth, decided, average="macro", zero_division=0)),
        "balanced_accuracy": float(metrics.balanced_accuracy_score(truth, decided)),
    }


def _regression(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    return {
        "r2": float(metrics.r2_score(truth, predicted)),
        "mean_absolute_error": float(metrics.mean_absolute_error(truth, predicted)),
        "root_mean_squared_error": float(metrics.root_mean_squared_error(truth, predicted)),
    }


def _interval(interval: Interval | None, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    """The share of the truth that is inside of the intervals, and their mean width; nothing where there are none."""
    if interval is None:
        return {}
    half = interval.half_widths_of(predicted)
    inside = np.abs(truth - predicted) <= half
    return {"interval_coverage": float(inside.mean()), "interval_width": float(2 * half.mean())}


def _of_quantile(truth: NDArray[Any], predicted: NDArray[Any], quantile: float | None) -> dict[str, float]:
    if quantile is None:
        return {}
    return {"mean_pinball_loss": float(metrics.mean_pinball_loss(truth, predicted, alpha=quantile))}

"""How good a model is: metrics for every kind of task, and the threshold of a binary one."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics

from modelyard.contract import Contract, TaskKind
from modelyard.errors import StepFailed

Scores = NDArray[np.floating[Any]]


def primary_metric(contract: Contract) -> str:
    """The name of the metric that models of this contract are compared by."""
    if not contract.kind.is_classification:
        return "r2"
    return "roc_auc" if len(contract.target.classes) == 2 else "roc_auc_ovr"


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


def best_f1_threshold(positive: NDArray[np.bool_], probability: NDArray[np.floating[Any]]) -> float:
    """The threshold with the highest F1; of several, the lowest that gives the same decisions as a probability seen.

    It lies half-way between two neighbouring probabilities, so that a difference in the last digit decides nothing.

    Args:
        positive: Whether each record is of the positive class.
        probability: The model's probability of it.
    """
    precision, recall, thresholds = metrics.precision_recall_curve(positive, probability)
    total = precision[:-1] + recall[:-1]
    f1 = np.divide(2 * precision[:-1] * recall[:-1], total, out=np.zeros_like(total), where=total > 0)
    best = int(np.argmax(f1))
    below = thresholds[best - 1] if best > 0 else 0.0
    return float((below + thresholds[best]) / 2)


def evaluate(contract: Contract, truth: NDArray[Any], scores: Scores) -> dict[str, float]:
    """All metrics of a model on one part of a snapshot.

    Args:
        contract: Says the kind of task, the classes and the threshold.
        truth: Class indices or values, of shape (records,).
        scores: Probabilities of shape (records, classes), or values of shape (records, 1).

    Returns:
        Metrics by name; the primary one is that of `primary_metric`.

    Raises:
        StepFailed: A class has no record in this part, so that nothing can be said of it.
    """
    if contract.kind is TaskKind.REGRESSION:
        return _regression(truth, scores[:, 0])
    missing = [str(c) for i, c in enumerate(contract.target.classes) if not np.any(truth == i)]
    if missing:
        raise StepFailed(f"{contract.use_case}: no record of class {', '.join(missing)} to judge a model by")
    decided = contract.decide(scores)
    if len(contract.target.classes) == 2:
        return _binary(truth, scores[:, 1], decided)
    return _multiclass(truth, scores, decided)


def _binary(truth: NDArray[Any], probability: NDArray[Any], decided: NDArray[np.intp]) -> dict[str, float]:
    return {
        "roc_auc": float(metrics.roc_auc_score(truth, probability)),
        "average_precision": float(metrics.average_precision_score(truth, probability)),
        "accuracy": float(metrics.accuracy_score(truth, decided)),
        "precision": float(metrics.precision_score(truth, decided, zero_division=0)),
        "recall": float(metrics.recall_score(truth, decided, zero_division=0)),
        "f1": float(metrics.f1_score(truth, decided, zero_division=0)),
    }


def _multiclass(truth: NDArray[Any], scores: Scores, decided: NDArray[np.intp]) -> dict[str, float]:
    each = [metrics.roc_auc_score(truth == index, scores[:, index]) for index in range(scores.shape[1])]
    return {
        "roc_auc_ovr": float(np.mean(each)),
        "accuracy": float(metrics.accuracy_score(truth, decided)),
        "f1_macro": float(metrics.f1_score(truth, decided, average="macro", zero_division=0)),
        "precision_macro": float(metrics.precision_score(truth, decided, average="macro", zero_division=0)),
        "recall_macro": float(metrics.recall_score(truth, decided, average="macro", zero_division=0)),
    }


def _regression(truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, float]:
    return {
        "r2": float(metrics.r2_score(truth, predicted)),
        "mean_absolute_error": float(metrics.mean_absolute_error(truth, predicted)),
        "root_mean_squared_error": float(metrics.root_mean_squared_error(truth, predicted)),
    }

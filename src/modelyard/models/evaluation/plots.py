"""Pictures of how a model does, for MLflow."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn import metrics
from sklearn.inspection import permutation_importance
from sklearn.pipeline import Pipeline

from modelyard.contract import Contract, Reliability, TaskKind
from modelyard.models.evaluation.reliability import DEVIATIONS, reliability_of

# Importance is measured by shuffling a feature; more records do not change the picture.
IMPORTANCE_RECORDS = 1000
IMPORTANCE_REPEATS = 5
# Of a network's history.
CURVES = ("loss", "accuracy", "learning_rate")
SCORINGS = {TaskKind.BINARY: "roc_auc", TaskKind.MULTICLASS: "roc_auc_ovr", TaskKind.REGRESSION: "r2"}


def plots(contract: Contract, truth: NDArray[Any], scores: NDArray[np.floating[Any]]) -> Iterator[tuple[str, Figure]]:
    """Pictures of a model's answers on one part of a snapshot, each with its name.

    Args:
        contract: Says the kind of task, the classes and the threshold.
        truth: Class indices or values.
        scores: Probabilities of shape (records, classes), or values of shape (records, 1).
    """
    if contract.kind is TaskKind.REGRESSION:
        yield "predicted_against_actual", _regression(contract, truth, scores[:, 0])
        return
    yield "reliability", _reliability(contract, reliability_of(truth, scores))
    yield "confusion_matrix", _confusion(contract, truth, contract.decide(scores))
    yield "roc_curve", _curves(contract, truth, scores, metrics.RocCurveDisplay, "ROC curve", _on_roc)
    curve, title = metrics.PrecisionRecallDisplay, "Precision and recall"
    yield "precision_recall_curve", _curves(contract, truth, scores, curve, title, _on_precision_recall)


def importance_plot(contract: Contract, pipeline: Pipeline, frame: pd.DataFrame, seed: int) -> Figure:
    """By how much the primary metric falls when a feature's values are shuffled.

    Args:
        contract: Says the features and the kind of task.
        pipeline: The fitted model.
        frame: Records that it was not fitted on, with the target.
        seed: Of the shuffling.
    """
    sample = _some(contract, frame)
    found = permutation_importance(
        pipeline,
        sample[contract.names],
        sample[contract.target.name],
        scoring=SCORINGS[contract.kind],
        n_repeats=IMPORTANCE_REPEATS,
        random_state=seed,
    )
    order = np.argsort(found.importances_mean)
    figure, axes = _figure("Feature importance")
    labels = [contract.features[index].label for index in order]
    axes.barh(labels, found.importances_mean[order], xerr=found.importances_std[order])
    # The labels are as long as the features' names; finding room for them draws the picture twice.
    figure.set_layout_engine("constrained")
    axes.set_xlabel(f"fall of {SCORINGS[contract.kind]} when the feature is shuffled")
    return figure


def learning_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """What was measured after each epoch: the loss, the accuracy and the learning rate, a panel each.

    Args:
        history: Values by name; `val_…` is of the validation part, `fold_…` of a fold of a cross-validation.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    for axes, measured in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        for name, values in history.items():
            if name.endswith(measured):
                faint = {"alpha": 0.35, "linestyle": "--"} if name.startswith("fold_") else {"marker": "o"}
                axes.plot(range(1, len(values) + 1), values, label=name.replace("_", " "), **faint)
        axes.set_title(measured.replace("_", " ").capitalize())
        axes.set_xlabel("epoch")
        axes.legend(fontsize="x-small", framealpha=0.5)
    return figure


def _some(contract: Contract, frame: pd.DataFrame) -> pd.DataFrame:
    """Some records of a frame; of each class equally many, as far as there are: a rare one must not be missing."""
    if not contract.kind.is_classification:
        return frame.iloc[:IMPORTANCE_RECORDS]
    return frame.groupby(contract.target.name).head(max(1, IMPORTANCE_RECORDS // len(contract.target.classes)))


def _figure(title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 5))
    axes = figure.subplots()
    axes.set_title(title)
    return figure, axes


def _class_names(contract: Contract) -> list[str]:
    return [str(name) for name in contract.target.class_titles or contract.target.classes]


def _reliability(contract: Contract, found: Reliability) -> Figure:
    """The share that came true of records with similar probabilities, with intervals, beside the diagonal."""
    figure, axes = _figure("Reliability")
    shares = np.array([each.share for each in found.bins])
    records = np.array([each.records for each in found.bins])
    axes.plot([0, 1], [0, 1], "--", color="grey", label="what is said comes true")
    deviations = DEVIATIONS * np.sqrt(shares * (1 - shares) / records)
    axes.errorbar([each.probability for each in found.bins], shares, yerr=deviations, fmt="o-", capsize=3)
    error = found.calibration_error
    axes.set_title(f"Reliability: error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})")
    names = _class_names(contract)
    axes.set_xlabel(f"probability of {names[1]}" if len(names) == 2 else "probability of the likeliest class")
    axes.set_ylabel("share that came true")
    axes.legend()
    return figure


def _confusion(contract: Contract, truth: NDArray[Any], decided: NDArray[np.intp]) -> Figure:
    figure, axes = _figure("Confusion matrix")
    classes = range(len(contract.target.classes))
    metrics.ConfusionMatrixDisplay.from_predictions(
        truth, decided, labels=list(classes), display_labels=_class_names(contract), ax=axes, colorbar=False
    )
    return figure


def _curves(
    contract: Contract,
    truth: NDArray[Any],
    scores: NDArray[np.floating[Any]],
    display: Any,
    title: str,
    place: Callable[[NDArray[Any], NDArray[np.intp]], tuple[float, float]],
) -> Figure:
    """A curve for each class; for one of two, beside chance and with the place where the threshold decides."""
    figure, axes = _figure(title)
    names = _class_names(contract)
    is_binary = len(names) == 2
    for index in [1] if is_binary else range(len(names)):
        of_class, name = truth == index, names[index]
        display.from_predictions(of_class, scores[:, index], name=name, ax=axes, plot_chance_level=is_binary)
    if is_binary:
        axes.plot(
            *place(truth, contract.decide(scores)), "o", color="black", label=f"threshold {contract.threshold:.3g}"
        )
        axes.legend()
    return figure


def _on_roc(truth: NDArray[Any], decided: NDArray[np.intp]) -> tuple[float, float]:
    """Share of the negatives that are called positive, and share of the positives that are found."""
    return 1 - metrics.recall_score(truth, decided, pos_label=0), metrics.recall_score(truth, decided)


def _on_precision_recall(truth: NDArray[Any], decided: NDArray[np.intp]) -> tuple[float, float]:
    """Share of the positives that are found, and share of what is called positive that is."""
    return metrics.recall_score(truth, decided), metrics.precision_score(truth, decided, zero_division=1)


def _regression(contract: Contract, truth: NDArray[Any], predicted: NDArray[np.floating[Any]]) -> Figure:
    figure, axes = _figure("Predicted against actual")
    metrics.PredictionErrorDisplay.from_predictions(truth, predicted, kind="actual_vs_predicted", ax=axes)
    unit = f" ({contract.target.unit})" if contract.target.unit else ""
    axes.set_xlabel(f"predicted{unit}")
    axes.set_ylabel(f"actual{unit}")
    return figure

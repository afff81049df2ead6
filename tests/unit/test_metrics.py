from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.errors import StepFailed
from modelyard.models.evaluation.metrics import choose_threshold, evaluate, truth
from modelyard.objective import METRICS_OF_MORE, METRICS_OF_TWO, METRICS_OF_VALUES, Cost, Objective

OF_PROBABILITIES = ("log_loss", "brier_score", "calibration_error")


def contract(kind: TaskKind, *classes: str | int) -> Contract:
    feature = Feature(name="size", type=FeatureType.NUMBER)
    return Contract(use_case="any", kind=kind, features=(feature,), target=Target(name="y", classes=classes))


def objective(decision_metric: str | None = None, **costs: float) -> Objective:
    """Of two classes, with the costs of what is told wrongly."""
    priced = tuple(Cost(actual="yes" if told == "no" else "no", told=told, cost=cost) for told, cost in costs.items())
    target = Target(name="y", classes=("no", "yes"))
    return Objective.of(TaskKind.BINARY, target, decision_metric=decision_metric, costs=priced)


def test_the_threshold_is_that_of_the_best_f1() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(300) < 0.2
    probability = np.clip(generator.normal(0.3 + 0.2 * positive, 0.15), 0, 1)
    threshold = choose_threshold(objective(), positive, probability)
    reached = f1_score(positive, probability >= threshold)
    assert reached == pytest.approx(max(f1_score(positive, probability >= cut) for cut in probability))


def test_the_threshold_lies_between_two_probabilities() -> None:
    assert choose_threshold(objective(), np.array([False, False, True]), np.array([0.1, 0.4, 0.6])) == pytest.approx(
        0.5
    )


def some_probabilities() -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    generator = np.random.default_rng(0)
    positive = generator.random(300) < 0.2
    return positive, np.clip(generator.normal(0.3 + 0.2 * positive, 0.15), 0, 1)


@pytest.mark.parametrize(
    ("metric", "score"), [("accuracy", accuracy_score), ("balanced_accuracy", balanced_accuracy_score)]
)
def test_the_threshold_follows_the_decision_metric(metric: str, score: Callable[..., float]) -> None:
    positive, probability = some_probabilities()
    threshold = choose_threshold(objective(metric), positive, probability)
    best = max(score(positive, probability >= cut) for cut in (*probability, 2))
    assert score(positive, probability >= threshold) == pytest.approx(best)


@pytest.mark.parametrize(("no", "yes"), [(1, 1), (5, 1), (50, 1), (1, 50)])
def test_the_threshold_costs_the_least(no: float, yes: float) -> None:
    positive, probability = some_probabilities()

    def cost(threshold: float) -> float:
        told = probability >= threshold
        return no * float(np.sum(positive & ~told)) + yes * float(np.sum(~positive & told))

    threshold = choose_threshold(objective(no=no, yes=yes), positive, probability)
    assert cost(threshold) == min(cost(cut) for cut in (*probability, 0, 2))


def test_labels_become_their_positions() -> None:
    labels = np.array(["b", "a", "c"], dtype=object)
    assert truth(contract(TaskKind.MULTICLASS, "a", "b", "c"), labels).tolist() == [1, 0, 2]


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(StepFailed, match="does not know the class d"):
        truth(contract(TaskKind.MULTICLASS, "a", "b", "c"), np.array(["b", "d"], dtype=object))


def test_a_perfect_model_has_perfect_metrics() -> None:
    binary = evaluate(contract(TaskKind.BINARY, 0, 1), np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0, 1]]))
    of_decisions = {name: value for name, value in binary.items() if not name.startswith(OF_PROBABILITIES)}
    assert of_decisions.pop("share_called_positive") == pytest.approx(2 / 3)
    assert set(of_decisions.values()) == {1.0}
    assert binary["brier_score"] == pytest.approx((0.01 + 0.01 + 0) / 3)
    assert binary["log_loss"] == pytest.approx(-2 * np.log(0.9) / 3)
    assert binary["log_loss_low"] < binary["log_loss"] < binary["log_loss_high"]
    three = evaluate(contract(TaskKind.MULTICLASS, "a", "b", "c"), np.array([0, 1, 2]), np.eye(3))
    assert {value for name, value in three.items() if not name.startswith(OF_PROBABILITIES)} == {1.0}
    assert {value for name, value in three.items() if name.startswith(OF_PROBABILITIES)} == {0.0}
    values = evaluate(contract(TaskKind.REGRESSION), np.array([1.0, 2.0]), np.array([[1.0], [2.0]]))
    assert values == {"r2": 1.0, "mean_absolute_error": 0.0, "root_mean_squared_error": 0.0}


def test_a_part_without_a_class_is_not_judged() -> None:
    with pytest.raises(StepFailed, match="no record of class 1"):
        evaluate(contract(TaskKind.BINARY, 0, 1), np.array([0, 0]), np.array([[0.9, 0.1], [0.1, 0.9]]))


@pytest.mark.parametrize(
    ("kind", "classes", "metrics"),
    [
        (TaskKind.BINARY, ("no", "yes"), METRICS_OF_TWO),
        (TaskKind.MULTICLASS, ("a", "b", "c"), METRICS_OF_MORE),
        (TaskKind.REGRESSION, (), METRICS_OF_VALUES),
    ],
)
def test_a_model_has_all_metrics_that_may_be_wanted(
    kind: TaskKind, classes: tuple[str, ...], metrics: tuple[str, ...]
) -> None:
    of_kind, scores = contract(kind, *classes), np.eye(3)[:, : len(classes) or 1]
    wanted = objective(no=2, yes=1)
    if not classes:
        wanted = Objective.of(kind, of_kind.target, metric="mean_pinball_loss", quantile=0.9)
    assert set(metrics) <= evaluate(of_kind, np.arange(3) % (len(classes) or 3), scores, wanted).keys()

import numpy as np
import pytest
from sklearn.metrics import f1_score

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.errors import StepFailed
from modelyard.models.metrics import best_f1_threshold, evaluate, primary_metric, truth


def contract(kind: TaskKind, *classes: str | int) -> Contract:
    feature = Feature(name="size", type=FeatureType.NUMBER)
    return Contract(use_case="any", kind=kind, features=(feature,), target=Target(name="y", classes=classes))


def test_the_threshold_is_that_of_the_best_f1() -> None:
    generator = np.random.default_rng(0)
    positive = generator.random(300) < 0.2
    probability = np.clip(generator.normal(0.3 + 0.2 * positive, 0.15), 0, 1)
    threshold = best_f1_threshold(positive, probability)
    reached = f1_score(positive, probability >= threshold)
    assert reached == pytest.approx(max(f1_score(positive, probability >= cut) for cut in probability))


def test_the_threshold_lies_between_two_probabilities() -> None:
    assert best_f1_threshold(np.array([False, False, True]), np.array([0.1, 0.4, 0.6])) == pytest.approx(0.5)


def test_labels_become_their_positions() -> None:
    labels = np.array(["b", "a", "c"], dtype=object)
    assert truth(contract(TaskKind.MULTICLASS, "a", "b", "c"), labels).tolist() == [1, 0, 2]


def test_a_label_that_is_no_class_is_named() -> None:
    with pytest.raises(StepFailed, match="does not know the class d"):
        truth(contract(TaskKind.MULTICLASS, "a", "b", "c"), np.array(["b", "d"], dtype=object))


def test_a_perfect_model_has_perfect_metrics() -> None:
    binary = evaluate(contract(TaskKind.BINARY, 0, 1), np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.1, 0.9], [0, 1]]))
    assert set(binary.values()) == {1.0}
    three = evaluate(contract(TaskKind.MULTICLASS, "a", "b", "c"), np.array([0, 1, 2]), np.eye(3))
    assert set(three.values()) == {1.0}
    values = evaluate(contract(TaskKind.REGRESSION), np.array([1.0, 2.0]), np.array([[1.0], [2.0]]))
    assert values == {"r2": 1.0, "mean_absolute_error": 0.0, "root_mean_squared_error": 0.0}


def test_a_part_without_a_class_is_not_judged() -> None:
    with pytest.raises(StepFailed, match="no record of class 1"):
        evaluate(contract(TaskKind.BINARY, 0, 1), np.array([0, 0]), np.array([[0.9, 0.1], [0.1, 0.9]]))


@pytest.mark.parametrize(
    ("feature", "kind", "classes"),
    [
        (Feature(name="photo", type=FeatureType.IMAGE, shape=(8, 8, 3)), TaskKind.IMAGE, ("benign", "malignant")),
        (Feature(name="photo", type=FeatureType.IMAGE, shape=(8, 8, 3)), TaskKind.IMAGE, ("a", "b", "c")),
        (Feature(name="size", type=FeatureType.NUMBER), TaskKind.BINARY, (0, 1)),
        (Feature(name="size", type=FeatureType.NUMBER), TaskKind.REGRESSION, ()),
    ],
)
def test_models_are_compared_by_a_metric_that_they_have(feature: Feature, kind: TaskKind, classes: tuple[str]) -> None:
    of_kind = Contract(use_case="any", kind=kind, features=(feature,), target=Target(name="y", classes=classes))
    scores = np.eye(3)[:, : len(classes) or 1]
    assert primary_metric(of_kind) in evaluate(of_kind, np.arange(3) % (len(classes) or 3), scores)

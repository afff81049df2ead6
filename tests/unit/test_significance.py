import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score

from modelyard.contract import TaskKind
from modelyard.models.significance import Measured, lower_bound, lower_bound_beside_chance, measure


def scores_of(records: int, classes: int, seed: int = 1) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    generator = np.random.default_rng(seed)
    truth = np.arange(records) % classes
    # Rounded, so that many scores are equal.
    scores = generator.dirichlet(np.ones(classes), records).round(2)
    scores[np.arange(records), truth] += 0.2
    return truth, scores


def standard_error(measured: Measured) -> float:
    return float(np.sqrt(np.sum(measured.influences**2)))


@pytest.mark.parametrize("classes", [2, 3])
def test_areas_are_those_of_scikit_learn(classes: int) -> None:
    truth, scores = scores_of(101, classes)
    shown = [1] if classes == 2 else range(classes)
    kind = TaskKind.BINARY if classes == 2 else TaskKind.MULTICLASS
    expected = np.mean([roc_auc_score(truth == k, scores[:, k]) for k in shown])
    assert measure(kind, truth, scores).value == pytest.approx(expected, abs=1e-12)


def test_r2_is_that_of_scikit_learn() -> None:
    truth = np.random.default_rng(2).normal(5, 2, 80)
    predicted = truth[:, None] + np.random.default_rng(3).normal(0, 1, (80, 1))
    assert measure(TaskKind.REGRESSION, truth, predicted).value == pytest.approx(r2_score(truth, predicted[:, 0]))


def test_the_variance_of_an_area_is_delongs() -> None:
    truth, scores = scores_of(60, 2)
    positive, negative = scores[truth == 1, 1], scores[truth == 0, 1]
    before = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    expected = before.mean(axis=1).var(ddof=1) / len(positive) + before.mean(axis=0).var(ddof=1) / len(negative)
    assert standard_error(measure(TaskKind.BINARY, truth, scores)) == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize("kind", [TaskKind.MULTICLASS, TaskKind.REGRESSION])
def test_the_standard_error_is_that_of_many_samples(kind: TaskKind) -> None:
    found = [_difference(kind, seed) for seed in range(200)]
    values = [each.value for each in found]
    assert np.mean([standard_error(each) for each in found]) == pytest.approx(np.std(values), rel=0.15)


def _difference(kind: TaskKind, seed: int) -> Measured:
    generator = np.random.default_rng(seed)
    if kind is TaskKind.REGRESSION:
        values = generator.normal(size=200)
        one, other = (values[:, None] + generator.normal(0, noise, (200, 1)) for noise in (0.4, 0.5))
        return measure(kind, values, one).minus(measure(kind, values, other))
    truth, one = scores_of(300, 3, seed)
    _, other = scores_of(300, 3, seed + 1000)
    return measure(kind, truth, one).minus(measure(kind, truth, other))


def test_a_model_beside_itself_differs_by_nothing() -> None:
    measured = measure(TaskKind.BINARY, *scores_of(100, 2))
    assert lower_bound(measured.minus(measured), 1e-9) == 0


def test_a_smaller_chance_of_error_is_a_lower_bound() -> None:
    measured = measure(TaskKind.BINARY, *scores_of(100, 2))
    assert lower_bound(measured, 0.01) > lower_bound(measured, 1e-4) > lower_bound(measured, 1e-8)


def test_a_few_records_that_count_for_nearly_all_make_the_bound_lower() -> None:
    even = Measured(0.0, np.full(100, 0.01) * (-1) ** np.arange(100), np.zeros(100), 0.0)
    heavy = np.array([0.1 / np.sqrt(2), -0.1 / np.sqrt(2), *np.zeros(98)])
    assert lower_bound(even._replace(influences=heavy), 0.01) < 1.5 * lower_bound(even, 0.01)


def test_chance_is_not_beaten_by_a_few_positives_that_happen_to_be_first() -> None:
    truth = np.array([1, 1] + [0] * 998)
    scores = np.column_stack([np.arange(1000), -np.arange(1000)]).astype(float)
    perfect = measure(TaskKind.BINARY, truth, scores)
    dummy = measure(TaskKind.BINARY, truth, np.zeros((1000, 2)))
    assert perfect.value == 1
    assert lower_bound(perfect.minus(dummy), 0.0037) == pytest.approx(0.5)
    assert lower_bound_beside_chance(perfect.minus(dummy), 0.0037) < 0

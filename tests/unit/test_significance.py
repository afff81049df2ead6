import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn import metrics

from modelyard.contract import Target, TaskKind
from modelyard.models.evaluation.measures import Predictions, measure
from modelyard.models.evaluation.significance import (
    Measured,
    effective_count,
    interval,
    lower_bound,
    lower_bound_beside_chance,
    standard_error,
    upper_bound,
)
from modelyard.objective import (
    METRICS_OF_MORE,
    METRICS_OF_TWO,
    METRICS_OF_VALUES,
    Cost,
    Objective,
)

LABELS = ("no", "yes", "perhaps")
COSTS = (Cost(actual="yes", told="no", cost=5), Cost(actual="no", told="yes", cost=1))
OF_TWO = Objective.of(TaskKind.BINARY, Target(name="y", classes=LABELS[:2]), costs=COSTS)
OF_MORE = Objective.of(TaskKind.MULTICLASS, Target(name="y", classes=LABELS))
OF_VALUES = Objective.of(TaskKind.REGRESSION, Target(name="y"), metric="mean_pinball_loss", quantile=0.9)


def of_classes(records: int, classes: int, seed: int = 1, clusters: NDArray[np.intp] | None = None) -> Predictions:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, records)
    # Rounded, so that many scores are equal.
    scores = generator.dirichlet(np.ones(classes), records).round(2) + 0.01
    scores[np.arange(records), truth] += 0.2
    scores /= scores.sum(axis=1, keepdims=True)
    objective = OF_TWO if classes == 2 else OF_MORE
    return Predictions(objective, truth, scores, scores.argmax(axis=1), LABELS[:classes], clusters)


def of_values(records: int, seed: int = 1) -> Predictions:
    generator = np.random.default_rng(seed)
    truth = generator.normal(size=records)
    return Predictions(OF_VALUES, truth, truth[:, None] + generator.normal(0, 0.5, (records, 1)), np.empty(0, np.intp))


def drawn(metric: str, seed: int) -> Predictions:
    if metric in METRICS_OF_VALUES:
        return of_values(200, seed)
    return of_classes(300, 2 if metric in METRICS_OF_TWO else 3, seed)


def test_metrics_are_those_of_scikit_learn() -> None:
    two, three, values = of_classes(101, 2), of_classes(101, 3), of_values(80)
    areas = np.mean([metrics.roc_auc_score(three.truth == k, three.scores[:, k]) for k in range(3)])
    expected: list[tuple[str, Predictions, float]] = [
        ("roc_auc", two, metrics.roc_auc_score(two.truth, two.scores[:, 1])),
        ("roc_auc_ovr", three, areas),
        ("average_precision", two, metrics.average_precision_score(two.truth, two.scores[:, 1])),
        ("log_loss", three, metrics.log_loss(three.truth, three.scores)),
        ("brier_score", two, metrics.brier_score_loss(two.truth, two.scores[:, 1])),
        ("f1", two, metrics.f1_score(two.truth, two.decided)),
        ("f1_macro", three, metrics.f1_score(three.truth, three.decided, average="macro")),
        ("accuracy", three, metrics.accuracy_score(three.truth, three.decided)),
        ("balanced_accuracy", three, metrics.balanced_accuracy_score(three.truth, three.decided)),
        ("cost", two, np.mean(5 * (two.truth > two.decided) + (two.truth < two.decided))),
        ("r2", values, metrics.r2_score(values.truth, values.scores[:, 0])),
        ("mean_absolute_error", values, metrics.mean_absolute_error(values.truth, values.scores[:, 0])),
        ("root_mean_squared_error", values, metrics.root_mean_squared_error(values.truth, values.scores[:, 0])),
        ("mean_pinball_loss", values, metrics.mean_pinball_loss(values.truth, values.scores[:, 0], alpha=0.9)),
    ]
    for metric, predictions, value in expected:
        assert measure(metric, predictions).value == pytest.approx(value), metric


def test_the_variance_of_an_area_is_delongs() -> None:
    predictions = of_classes(60, 2)
    truth, score = predictions.truth, predictions.scores[:, 1]
    positive, negative = score[truth == 1], score[truth == 0]
    before = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    expected = before.mean(axis=1).var(ddof=1) / len(positive) + before.mean(axis=0).var(ddof=1) / len(negative)
    assert standard_error(measure("roc_auc", predictions))[0] == pytest.approx(np.sqrt(expected))


@pytest.mark.parametrize("metric", sorted({*METRICS_OF_TWO, *METRICS_OF_MORE, *METRICS_OF_VALUES}))
def test_the_standard_error_is_that_of_many_samples(metric: str) -> None:
    found = [measure(metric, drawn(metric, seed)) for seed in range(300)]
    spread = np.std([each.value for each in found])
    assert np.mean([standard_error(each)[0] for each in found]) == pytest.approx(spread, rel=0.2)


def test_records_of_one_cluster_count_once() -> None:
    predictions = of_classes(100, 2)
    five_times = np.repeat(np.arange(100), 5)
    repeated = predictions._replace(
        truth=predictions.truth[five_times],
        scores=predictions.scores[five_times],
        decided=predictions.decided[five_times],
    )
    for metric in METRICS_OF_TWO:
        once = standard_error(measure(metric, predictions))
        assert standard_error(measure(metric, repeated._replace(clusters=five_times))) == pytest.approx(once), metric
        assert standard_error(measure(metric, repeated))[0] < 0.5 * once[0]


def test_a_cluster_with_records_of_both_classes_is_one() -> None:
    """Who errs about both records of a pair errs about the area as a whole: the pairs are what varies."""
    areas, errors = [], []
    for seed in range(300):
        generator = np.random.default_rng(seed)
        truth, pair = np.arange(200) % 2, np.arange(200) // 2
        score = np.repeat(generator.normal(size=100), 2) + 0.5 * truth + 0.3 * generator.normal(size=200)
        scores = np.column_stack([-score, score])
        measured = measure("roc_auc", Predictions(OF_TWO, truth, scores, truth, LABELS[:2], pair))
        areas.append(measured.value)
        errors.append(standard_error(measured)[0])
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.15)


def test_the_effective_count_of_unequal_clusters() -> None:
    clusters = np.array([1, 1, 1, 2, 3])
    everybody = np.ones(5, dtype=np.bool_)
    assert effective_count(everybody, None) == 5
    assert effective_count(everybody, clusters) == pytest.approx(25 / 11)


def test_a_model_beside_itself_differs_by_nothing() -> None:
    measured = measure("roc_auc", of_classes(100, 2))
    nothing = measured.minus(measured)
    assert lower_bound(nothing, 1e-9) == upper_bound(nothing, 1e-9, 0.1) == 0


def test_a_smaller_chance_of_error_is_a_lower_bound() -> None:
    measured = measure("roc_auc", of_classes(100, 2))
    assert lower_bound(measured, 0.01) > lower_bound(measured, 1e-4) > lower_bound(measured, 1e-8)


def test_few_records_that_are_all_right_have_an_interval() -> None:
    all_right = Measured(1.0, np.zeros(10), np.zeros(10))
    low, _ = interval(all_right, 0.1)
    assert low == pytest.approx(0.68, abs=0.01)


def test_a_few_records_that_count_for_nearly_all_make_the_bound_lower() -> None:
    even = Measured(0.0, np.full(100, 0.01) * (-1) ** np.arange(100), np.zeros(100))
    heavy = np.array([0.1 / np.sqrt(2), -0.1 / np.sqrt(2), *np.zeros(98)])
    assert lower_bound(even._replace(influences=heavy), 0.01) < 1.5 * lower_bound(even, 0.01)


def test_chance_is_not_beaten_by_a_few_positives_that_happen_to_be_first() -> None:
    truth, score = np.array([1, 1] + [0] * 998), -np.arange(1000.0)
    perfect = Predictions(OF_TWO, truth, np.column_stack([-score, score]), truth, LABELS[:2])
    difference = measure("roc_auc", perfect).minus(measure("roc_auc", perfect._replace(scores=np.zeros((1000, 2)))))
    assert difference.value == 0.5
    assert lower_bound(difference, 0.0037) == pytest.approx(0.5)
    assert lower_bound_beside_chance(difference, 0.0037) < 0

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import r2_score, roc_auc_score

from modelyard.contract import TaskKind
from modelyard.models import bootstrap

RESAMPLES = 20


def weights_of(strata: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.concatenate(list(bootstrap._resamples(strata, RESAMPLES, np.random.default_rng(3))))


def two_models(records: int, classes: int) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    generator = np.random.default_rng(1)
    truth = np.arange(records) % classes
    # Rounded, so that many scores are equal.
    one, other = (generator.dirichlet(np.ones(classes), records).round(2) for _ in range(2))
    one[np.arange(records), truth] += 0.2
    return truth, one, other


@pytest.mark.parametrize("classes", [2, 3])
def test_areas_are_those_of_scikit_learn_with_weights(classes: int) -> None:
    truth, one, other = two_models(101, classes)
    kind = TaskKind.BINARY if classes == 2 else TaskKind.MULTICLASS
    found = bootstrap.paired_differences(kind, truth, one, other, RESAMPLES, seed=3)

    def area(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
        shown = [1] if classes == 2 else range(classes)
        return float(np.mean([roc_auc_score(truth == k, scores[:, k], sample_weight=weights) for k in shown]))

    expected = [area(one, weights) - area(other, weights) for weights in weights_of(truth)]
    assert found == pytest.approx(expected, abs=1e-12)


def test_r2_is_that_of_scikit_learn_with_weights() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(5, 2, 80)
    one, other = (truth[:, None] + generator.normal(0, noise, (80, 1)) for noise in (0.5, 2))
    found = bootstrap.paired_differences(TaskKind.REGRESSION, truth, one, other, RESAMPLES, seed=3)
    strata = np.zeros(80, dtype=np.intp)
    expected = [
        r2_score(truth, one[:, 0], sample_weight=w) - r2_score(truth, other[:, 0], sample_weight=w)
        for w in weights_of(strata)
    ]
    assert found == pytest.approx(expected)


def test_batches_of_resamples_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, one, other = two_models(50, 2)
    whole = bootstrap.paired_differences(TaskKind.BINARY, truth, one, other, RESAMPLES, seed=3)
    monkeypatch.setattr(bootstrap, "CELLS_AT_A_TIME", 150)
    assert (
        bootstrap.paired_differences(TaskKind.BINARY, truth, one, other, RESAMPLES, seed=3).tolist() == whole.tolist()
    )


def test_a_rare_class_is_in_every_resample() -> None:
    truth = np.array([1] + [0] * 200)
    assert (weights_of(truth)[:, 0] == 1).all()

"""What the pictures of a model show."""

import numpy as np
import pytest

from modelyard.catalog import find_use_case
from modelyard.models.evaluation.plots import plots

TRUTH = np.array([0, 0, 0, 0, 1, 1])
POSITIVE = np.array([0.1, 0.3, 0.7, 0.2, 0.65, 0.5])


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("roc_curve", (1 / 4, 1 / 2)),  # one of four called positive, one of two found
        ("precision_recall_curve", (1 / 2, 1 / 2)),  # one of two found, one of the two called positive is
    ],
)
def test_curves_of_two_classes_show_chance_and_where_the_threshold_decides(
    name: str, place: tuple[float, float]
) -> None:
    contract = find_use_case("loan_approval").contract().model_copy(update={"threshold": 0.6})
    figure = dict(plots(contract, TRUTH, np.column_stack([1 - POSITIVE, POSITIVE])))[name]
    [axes] = figure.axes
    drawn = {str(line.get_label()).split(" (")[0]: line for line in axes.lines}
    assert set(drawn) == {"Approved", "Chance level", "threshold 0.6"}
    assert drawn["threshold 0.6"].get_xydata() == pytest.approx(np.array([place]))


def test_more_classes_have_a_curve_each() -> None:
    contract = find_use_case("iris").contract()
    scores = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    figure = dict(plots(contract, np.arange(30) % 3, scores))["roc_curve"]
    assert len(figure.axes[0].lines) == 3

"""Which candidate is chosen."""

from typing import NamedTuple

from modelyard.steps.compare import best_of


class Tried(NamedTuple):
    name: str
    validation: dict[str, float]


def test_the_primary_metric_chooses_among_those_with_good_probabilities() -> None:
    good = Tried("good", {"roc_auc": 0.80, "log_loss": 0.300})
    as_good = Tried("as good", {"roc_auc": 0.81, "log_loss": 0.302})
    ranks = Tried("ranks", {"roc_auc": 0.82, "log_loss": 0.4})
    assert best_of("roc_auc", [good, as_good, ranks]).name == "as good"


def test_without_probabilities_the_primary_metric_alone_chooses() -> None:
    low, high = Tried("low", {"r2": 0.3}), Tried("high", {"r2": 0.5})
    assert best_of("r2", [low, high]).name == "high"


def test_of_losses_the_lowest_is_the_best() -> None:
    low, high = Tried("low", {"mean_absolute_error": 0.3}), Tried("high", {"mean_absolute_error": 0.5})
    assert best_of("mean_absolute_error", [high, low]).name == "low"

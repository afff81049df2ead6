"""Which candidate is chosen."""

from typing import NamedTuple

from modelyard.steps.compare import best_of


class Tried(NamedTuple):
    name: str
    validation: dict[str, float]
    primary_metric: str = "roc_auc"


def test_the_primary_metric_chooses_among_those_with_good_probabilities() -> None:
    good = Tried("good", {"roc_auc": 0.80, "log_loss": 0.300})
    as_good = Tried("as good", {"roc_auc": 0.81, "log_loss": 0.302})
    ranks = Tried("ranks", {"roc_auc": 0.82, "log_loss": 0.4})
    assert best_of([good, as_good, ranks]).name == "as good"


def test_without_probabilities_the_primary_metric_alone_chooses() -> None:
    low, high = Tried("low", {"r2": 0.3}, "r2"), Tried("high", {"r2": 0.5}, "r2")
    assert best_of([low, high]).name == "high"

"""What the models of a use case are for: the metrics that judge them, and what wrong answers cost."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import Field, model_validator

from modelyard.contract import Frozen, Label, Target, TaskKind

# Metrics for two classes, for more, and for a regression. The first one is the default.
METRICS_OF_TWO = (
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier_score",
    "f1",
    "accuracy",
    "balanced_accuracy",
    "cost",
)
METRICS_OF_MORE = ("roc_auc_ovr", "log_loss", "brier_score", "f1_macro", "accuracy", "balanced_accuracy")
METRICS_OF_VALUES = ("r2", "mean_absolute_error", "root_mean_squared_error", "mean_pinball_loss")
# Metrics of the answered class, not of its probability. For each number of classes, the first one is the default.
DECISIONS_OF_TWO = ("f1", "accuracy", "balanced_accuracy", "cost")
DECISIONS_OF_MORE = ("accuracy", "balanced_accuracy", "f1_macro")
DECISIONS = frozenset({*DECISIONS_OF_TWO, *DECISIONS_OF_MORE})
# Less of these is better.
LOSSES = frozenset(
    {
        "log_loss",
        "brier_score",
        "cost",
        "mean_absolute_error",
        "root_mean_squared_error",
        "mean_pinball_loss",
    }
)
# By these, the best constant is not the mean, but the median or the objective's quantile.
QUANTILE_METRICS = frozenset({"mean_absolute_error", "mean_pinball_loss"})
MEDIAN = 0.5


class Cost(Frozen):
    """What a wrong answer costs: `Cost(actual="yes", told="no", cost=5)`.

    Attributes:
        actual: The true class of a record.
        told: The class that the model answers.
        cost: What that costs, in any unit; only the ratios matter.
    """

    actual: Label
    told: Label
    cost: float = Field(ge=0, allow_inf_nan=False)


class Objective(Frozen):
    """What models are judged by.

    Attributes:
        kind: What the models are asked to do.
        classes: The target's classes; empty in a regression.
        metric: The primary metric: candidates are chosen by it, and it must be proven at the gate.
        decision_metric: What decisions are judged by, and the threshold chosen; None in a regression.
        costs: What wrong answers cost; right ones cost nothing.
        quantile: Which quantile of the target is predicted, where the metric is `mean_pinball_loss`.
    """

    kind: TaskKind
    classes: tuple[Label, ...] = ()
    metric: str
    decision_metric: str | None = None
    costs: tuple[Cost, ...] = ()
    quantile: float | None = Field(default=None, gt=0, lt=1)

    @classmethod
    def of(
        cls,
        kind: TaskKind,
        target: Target,
        metric: str | None = None,
        decision_metric: str | None = None,
        costs: tuple[Cost, ...] = (),
        quantile: float | None = None,
    ) -> Self:
        """The objective of a task, with what is usual where nothing is named.

        Args:
            kind: What the models are asked to do.
            target: What they predict.
            metric: See the attributes.
            decision_metric: See the attributes. The default with costs is their mean.
            costs: See the attributes.
            quantile: See the attributes.

        Raises:
            ValueError: The metrics or costs do not go with the task; the message says which would.
        """
        usual = decisions_of(kind, target.classes)
        decides_by = "cost" if costs else usual[0] if usual else None
        return cls(
            kind=kind,
            classes=target.classes,
            metric=metric or metrics_of(kind, target.classes)[0],
            decision_metric=decision_metric or decides_by,
            costs=costs,
            quantile=quantile,
        )

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        _check("metric", self.metric, metrics_of(self.kind, self.classes))
        if self.decision_metric is not None:
            _check("decision_metric", self.decision_metric, decisions_of(self.kind, self.classes))
        if (self.metric == "mean_pinball_loss") != (self.quantile is not None):
            raise ValueError('metric="mean_pinball_loss" and quantile=… go together, such as quantile=0.9')
        return self

    @model_validator(mode="after")
    def _priced(self) -> Self:
        if not self.costs:
            if "cost" in (self.metric, self.decision_metric):
                raise ValueError('the metric "cost" needs costs=(Cost(actual=…, told=…, cost=…), …)')
            return self
        if len(self.classes) != 2:
            raise ValueError("costs are for two classes: with more, the answer is the likeliest one whatever it costs")
        unknown = {label for each in self.costs for label in (each.actual, each.told)} - set(self.classes)
        if unknown:
            raise ValueError(f"costs name {_listed(unknown)}, and the classes are {_listed(self.classes)}")
        self._check_errors()
        return self

    def _check_errors(self) -> None:
        pairs = [(each.actual, each.told) for each in self.costs]
        if len(set(pairs)) < len(pairs) or any(actual == told for actual, told in pairs):
            raise ValueError("costs must name each kind of wrong answer once, and no right answer")
        if len(pairs) < 2 or not all(each.cost for each in self.costs):
            raise ValueError(
                "costs must name both kinds of wrong answers, each above 0: else one answer is always best"
            )

    @property
    def watched(self) -> tuple[str, ...]:
        """The metrics that say how good a model is: the primary one; for classes, also log loss and decision metric."""
        if not self.kind.is_classification:
            return (self.metric,)
        return tuple(dict.fromkeys((self.metric, "log_loss", self.decision_metric or self.metric)))

    @property
    def guarded(self) -> tuple[str, ...]:
        """The metrics, besides the primary one, by which a model must not be shown to be worse than another."""
        # Costs say which wrong answers there should be more of.
        also = ("accuracy",) if self.kind.is_classification and not self.costs else ()
        return tuple(dict.fromkeys((*self.watched, *also)))[1:]

    def cost_of(self, actual: Label, told: Label) -> float:
        """What it costs to answer one class for a record of another one, or of the same."""
        return next((each.cost for each in self.costs if (each.actual, each.told) == (actual, told)), 0.0)


def metrics_of(kind: TaskKind, classes: Sequence[Label]) -> tuple[str, ...]:
    """The metrics that models of a task can be ranked by, the default first."""
    if not kind.is_classification:
        return METRICS_OF_VALUES
    return METRICS_OF_TWO if len(classes) == 2 else METRICS_OF_MORE


def decisions_of(kind: TaskKind, classes: Sequence[Label]) -> tuple[str, ...]:
    """The metrics that their decisions can be judged by, the default first; none in a regression."""
    if not kind.is_classification:
        return ()
    return DECISIONS_OF_TWO if len(classes) == 2 else DECISIONS_OF_MORE


def gain(metric: str, value: float, other: float) -> float:
    """How much better one value of a metric is than another."""
    return other - value if metric in LOSSES else value - other


def error_left(metric: str, value: float) -> float:
    """The remaining error: of a loss itself, of other metrics 1 minus them."""
    return value if metric in LOSSES else 1 - value


def _check(name: str, given: str, possible: tuple[str, ...]) -> None:
    if given not in possible:
        raise ValueError(f"{name}={given!r} does not go with this target; these do: {', '.join(possible) or 'none'}")


def _listed(labels: Any) -> str:
    return ", ".join(sorted(str(label) for label in labels))

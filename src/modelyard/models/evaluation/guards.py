"""What no model may be shown to be: worse than another by more than a margin, in what it does not have to prove.

The primary metric is the challenger's to prove. Here the burden is the gate's: probabilities, decisions and slices
refuse a model only where the records show a decline, so that a small test part does not refuse everything.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Frozen
from modelyard.models.evaluation.evidence import Evidence, Pair, beside
from modelyard.models.evaluation.measures import Predictions, improvement, measure
from modelyard.models.evaluation.significance import Measured, interval, upper_bound
from modelyard.objective import DECISIONS, LOSSES, error_left
from modelyard.use_case import Gate

PRODUCTION, BEST, DUMMY = "the model in production", "the best version ever promoted", "a dummy"
# Where a slice has no or few records of a class, these say nothing.
OF_CLASSES = frozenset({"roc_auc", "roc_auc_ovr", "average_precision", "f1", "f1_macro", "balanced_accuracy"})
# By these, giving every record the same class is worth nothing; by the others it may be the best there is.
NEVER_BY_ONE_ANSWER = frozenset({"f1", "f1_macro", "balanced_accuracy"})
# Of a column; rarer values have hardly any records of their own.
MOST_SLICES = 20


class Finding(Frozen):
    """A metric of a model on the test part or on a slice of it, and another model's.

    Attributes:
        metric: Which metric.
        part: Of which records: a column's value (`region=north`); None: of all.
        records: How many these are.
        model: The model's.
        low: The lower end of a 95 % interval.
        high: Its upper end.
        than: Which other model.
        other: The other model's.
        difference: By how much the model is better; it is worse where this is below 0.
        at_most: The upper bound of the true difference at the guards' error rate; None: it is not guarded, as there is
            no other model or too few records.
        allowed: How much worse it may be shown to be; None: it is not guarded.
        is_one_answer: Whether it tells every record the same class, where doing so shows that it knows nothing.
    """

    metric: str
    part: str | None = None
    records: int
    model: float
    low: float
    high: float
    than: str | None = None
    other: float | None = None
    difference: float | None = None
    at_most: float | None = None
    allowed: float | None = None
    is_one_answer: bool = False

    @property
    def objection(self) -> str | None:
        """Why the model is refused, if it is."""
        if self.at_most is None or self.allowed is None:
            return None
        if self.at_most >= -self.allowed and not self.is_one_answer:
            return None
        where = f"where {self.part}, " if self.part else ""
        shown = f"{self.metric} {self.model:.3f} against {self.other:.3f}"
        if self.is_one_answer:
            return f"{where}it decides no better than giving every record the same class: {shown}"
        return (
            f"{where}it is shown to be worse than {self.than}: {shown}, worse by at least {-self.at_most:.3g}, "
            f"and {self.allowed:.3g} is allowed"
        )


class Guards(Frozen):
    """What was looked at besides the primary metric, and what follows.

    Attributes:
        reasons: Why the model is refused, a sentence each.
        findings: The metrics that are guarded, on the whole test part.
        slices: The metrics of each slice.
        error_rate: The chance of each finding to refuse a model that is worse by no more than is allowed.
    """

    reasons: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    slices: tuple[Finding, ...] = ()
    error_rate: float


class _Question(NamedTuple):
    """Whether a model is worse than another one by more than is allowed; without another one: how good it is."""

    metric: str
    part: str | None
    model: Predictions
    than: str | None = None
    other: Measured | None = None
    # None: it refuses nothing.
    allowed: float | None = None


def guard(gate: Gate, evidence: Evidence) -> Guards:
    """Looks for what is shown to be worse than it may be.

    All findings together refuse a model wrongly with at most the chance that `level` leaves. Looks at the test part do
    not add up here, as a wrong refusal costs one model and lets nothing pass.

    Args:
        gate: What is allowed.
        evidence: The answers.
    """
    of_all, of_slices = list(_questions(gate, evidence)), list(_questions_of_slices(gate, evidence))
    asked = sum(question.allowed is not None for question in (*of_all, *of_slices))
    error_rate = (1 - gate.level) / max(asked, 1)
    findings, slices = (tuple(_answer(each, error_rate) for each in part) for part in (of_all, of_slices))
    reasons = (finding.objection for finding in (*findings, *slices))
    return Guards(
        reasons=tuple(f"{reason} (error rate {error_rate:.1e})" for reason in reasons if reason),
        findings=findings,
        slices=slices,
        error_rate=error_rate,
    )


def measure_dummy(metric: str, dummy: Predictions) -> Measured:
    """A dummy's metric; of decisions, that of giving all records the same class, whichever is best."""
    if metric not in DECISIONS:
        return measure(metric, dummy)
    found = (measure(metric, dummy.told(place)) for place in range(len(dummy.classes)))
    return min(found, key=lambda measured: error_left(metric, measured.value))


def _questions(gate: Gate, evidence: Evidence) -> Iterator[_Question]:
    aim = evidence.aim
    for name, other in ((PRODUCTION, evidence.champion), (BEST, evidence.reference)):
        if other is None:
            continue
        pair = beside(evidence, other)
        for metric in aim.guarded:
            its = measure(metric, pair.other)
            share = gate.margin if metric in aim.watched else gate.accuracy_margin
            yield _Question(metric, None, pair.model, name, its, share * error_left(metric, its.value))
    if evidence.champion is None:
        dummy = beside(evidence, evidence.baseline)
        # Not by accuracy: finding the few positives takes more wrong answers than saying that there are none.
        for metric in aim.watched[1:]:
            yield _Question(metric, None, dummy.model, DUMMY, measure_dummy(metric, dummy.other), 0.0)


def _questions_of_slices(gate: Gate, evidence: Evidence) -> Iterator[_Question]:
    aim = evidence.aim
    whole = beside(evidence, evidence.champion or evidence.model)
    for part, records in _slices(evidence):
        pair = whole.on(records)
        for metric in aim.watched:
            if not _is_measurable(metric, pair.model):
                continue
            if evidence.champion is None:
                yield _Question(metric, part, pair.model)
                continue
            its = measure(metric, pair.other)
            allowed = _allowed_in_slice(gate, metric, pair, its)
            yield _Question(metric, part, pair.model, PRODUCTION, its, allowed)


def _slices(evidence: Evidence) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    for column, values in evidence.slices.items():
        found, counts = np.unique(values, return_counts=True)
        commonest = np.argsort(-counts, kind="stable")[:MOST_SLICES]
        for value in found[np.sort(commonest)]:
            yield f"{column}={value}", values == value


def _is_measurable(metric: str, predictions: Predictions) -> bool:
    if metric in OF_CLASSES:
        return int(_units_of_each_class(predictions).min()) >= 2
    return _units(predictions) >= 2 and (metric != "r2" or bool(np.ptp(predictions.truth) > 0))


def _allowed_in_slice(gate: Gate, metric: str, pair: Pair, its: Measured) -> float | None:
    if gate.slice_margin is None or _units(pair.model) < gate.minimum_test_records:
        return None
    if pair.model.classes and _units_of_each_class(pair.model).min() < gate.minimum_per_class:
        return None
    return gate.slice_margin * error_left(metric, its.value)


def _units(predictions: Predictions) -> int:
    return len(predictions.truth) if predictions.clusters is None else len(np.unique(predictions.clusters))


def _units_of_each_class(predictions: Predictions) -> NDArray[np.intp]:
    places = range(len(predictions.classes))
    return np.array([_units(predictions.on(predictions.truth == place)) for place in places], dtype=np.intp)


def _answer(question: _Question, error_rate: float) -> Finding:
    metric, model, other = question.metric, measure(question.metric, question.model), question.other
    least_error = _least_error(metric, question.model)
    low, high = interval(model, least_error)
    found = Finding(
        metric=metric,
        part=question.part,
        records=len(question.model.truth),
        model=model.value,
        low=low if metric == "r2" else max(low, 0.0),
        high=high if metric in LOSSES else min(high, 1.0),
    )
    if other is None:
        return found
    better = improvement(metric, model, other)
    beside_other = {"than": question.than, "other": other.value, "difference": better.value}
    beside_other["is_one_answer"] = _is_one_answer(question)
    if question.allowed is not None:
        beside_other |= {"at_most": upper_bound(better, error_rate, least_error), "allowed": question.allowed}
    return found.model_copy(update=beside_other)


def _is_one_answer(question: _Question) -> bool:
    """Whether a first model tells every record the same class. By F1, few records cannot show what that is worth."""
    of_decisions = question.than == DUMMY and question.metric in NEVER_BY_ONE_ANSWER
    return of_decisions and len(np.unique(question.model.decided)) == 1


def _least_error(metric: str, predictions: Predictions) -> float:
    """An additional standard error of a metric between 0 and 1: a few answers that are all right have none."""
    if metric in OF_CLASSES:
        return 1 / float(_units_of_each_class(predictions).min())
    return 1 / _units(predictions) if metric in ("accuracy", "brier_score") else 0.0

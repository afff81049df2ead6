"""The gate: whether a model may go into production. Numbers in, a verdict with its reasons out."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelyard.contract import Contract, Frozen
from modelyard.models.evaluation.evidence import Answers, Evidence, beside, positions, shared_classes
from modelyard.models.evaluation.guards import Guards, guard, measure_dummy
from modelyard.models.evaluation.measures import Predictions, improvement, measure
from modelyard.models.evaluation.metrics import evaluate
from modelyard.models.evaluation.significance import Measured, lower_bound, lower_bound_beside_chance
from modelyard.models.tabular.export import Agreement
from modelyard.objective import LOSSES, error_left
from modelyard.use_case import Gate


class Comparison(Frozen):
    """How a model does compared with another one on the same records.

    Attributes:
        metric: Which metric.
        model: The model's.
        other: The other model's.
        records: On how many records: without those of classes that the other model does not know.
        difference: By how much the model is better: its metric minus the other's, of a loss the other's minus its.
        bound: The lower bound of the true difference at the look's error rate.
    """

    metric: str
    model: float
    other: float
    records: int
    difference: float
    bound: float


class Weighed(Frozen):
    """A model's primary metric compared with those that it must be shown not to be worse than, and what follows.

    Attributes:
        reasons: Why it is refused, a sentence each.
        against_baseline: Compared with a dummy's.
        against_champion: Compared with that of the model in production.
        against_reference: Compared with that of the best version ever promoted, which may be the one in production.
        error_rate: The chance that each comparison may be wrong.
    """

    reasons: tuple[str, ...] = ()
    against_baseline: Comparison
    against_champion: Comparison | None = None
    against_reference: Comparison | None = None
    error_rate: float

    @property
    def is_best(self) -> bool:
        """Whether it has been shown to be better than the best version so far, or is the first."""
        return self.against_reference is None or self.against_reference.bound > 0


class Judgement(Frozen):
    """What the gate says of a model.

    Attributes:
        reasons: Why it is refused, a sentence each; empty: it may pass.
        notes: What else is to be known of the judgement, a sentence each.
        metrics: The model's metrics on the test part.
        baseline: A dummy's metrics on the same records.
        champion: The metrics on the same records of the model in production, as far as it knows their classes.
        reference: The same of the best version ever promoted, where that is another one.
        weighed: What had to be shown by the primary metric; None: the answers were not looked at.
        guards: What must not be shown of the other metrics and of slices; None likewise.
        is_best: Whether it is the best version from now on, if it is promoted.
        agreement: How far the compiled model is from the fitted one.
        records: How many records the test part has.
    """

    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    metrics: dict[str, float] = Field(default_factory=dict)
    baseline: dict[str, float] = Field(default_factory=dict)
    champion: dict[str, float] | None = None
    reference: dict[str, float] | None = None
    weighed: Weighed | None = None
    guards: Guards | None = None
    is_best: bool = False
    agreement: Agreement
    records: int

    @property
    def passed(self) -> bool:
        """Whether the model may go into production."""
        return not self.reasons


def objections_to_data(
    gate: Gate, contract: Contract, train: NDArray[Any], test: NDArray[Any], clusters: NDArray[Any] | None = None
) -> list[str]:
    """Why nothing could be said of any model, from the targets of the training and the test part.

    Args:
        gate: Says how many test records are needed.
        contract: Says the classes.
        train: Labels or values of the training part.
        test: Labels or values of the test part.
        clusters: The cluster of each test record. Then clusters are what is counted.
    """
    units = "records" if clusters is None else "groups of records"
    found, count = [], len(test) if clusters is None else len(np.unique(clusters))
    if count < gate.minimum_test_records:
        found.append(f"too few test {units}: {count}, and at least {gate.minimum_test_records} are needed")
    if not contract.kind.is_classification:
        return found + _objections_to_values(test)
    for part, target in (("training", train), ("test", test)):
        found += _objections_to_classes(contract, part, set(target.tolist()))
    return found + _rare_classes(gate, contract, _count_classes(test, clusters), units)


def _objections_to_values(test: NDArray[Any]) -> list[str]:
    if not len(test) or np.ptp(test) > 0:
        return []
    return [f"the target is {test[0]:g} in every test record: no model can be told from another one by them"]


def _count_classes(test: NDArray[Any], clusters: NDArray[Any] | None) -> Counter[Any]:
    labels = test.tolist()
    if clusters is None:
        return Counter(labels)
    return Counter(label for label, _ in set(zip(labels, clusters.tolist(), strict=True)))


def _rare_classes(gate: Gate, contract: Contract, counts: Counter[Any], units: str) -> list[str]:
    rare = [
        f"{counts[label]} of class {label}"
        for label in contract.target.classes
        if 0 < counts[label] < gate.minimum_per_class
    ]
    if not rare:
        return []
    return [f"too few test {units}: {', '.join(rare)}, and at least {gate.minimum_per_class} of each class are needed"]


def _objections_to_classes(contract: Contract, part: str, there: set[Any]) -> list[str]:
    missing = [str(label) for label in contract.target.classes if label not in there]
    found = [f"the {part} part has no record of class {', '.join(missing)}"] if missing else []
    unknown = sorted(str(label) for label in there - set(contract.target.classes))
    if unknown:
        found.append(f"the {part} part has records of class {', '.join(unknown)}, which the model does not know")
    return found


def refuse(objections: Sequence[str], agreement: Agreement, records: int) -> Judgement:
    """The judgement of a model that cannot be judged by its answers.

    Args:
        objections: Why, a sentence each.
        agreement: How far the compiled model is from the fitted one.
        records: How many records the test part has.
    """
    return Judgement(reasons=(*objections, *_disagreement(agreement)), agreement=agreement, records=records)


def judge(gate: Gate, evidence: Evidence, agreement: Agreement, error_rate: float) -> Judgement:
    """Judges a model by its answers on the test part.

    Args:
        gate: What a model must show.
        evidence: The answers.
        agreement: How far the compiled model is from the fitted one.
        error_rate: The chance that each comparison may be wrong.
    """
    weighed, guards = weigh(gate, evidence, error_rate), guard(gate, evidence)
    contract, truth = evidence.model.contract, evidence.truth
    return Judgement(
        reasons=(*_disagreement(agreement), *weighed.reasons, *guards.reasons),
        notes=_new_classes(evidence),
        metrics=evaluate(contract, truth, evidence.model.scores, evidence.aim, evidence.clusters),
        baseline=evaluate(contract, truth, evidence.baseline.scores, evidence.aim, evidence.clusters),
        champion=_metrics_beside(evidence, evidence.champion),
        reference=_metrics_beside(evidence, evidence.reference),
        weighed=weighed,
        guards=guards,
        is_best=weighed.is_best,
        agreement=agreement,
        records=len(truth),
    )


def weigh(gate: Gate, evidence: Evidence, error_rate: float) -> Weighed:
    """Compares a model's primary metric with those of a dummy, the model in production, and the best version.

    Here the burden is the model's: what the records cannot show is refused.

    Args:
        gate: What a model must show.
        evidence: The answers.
        error_rate: The chance that each comparison may be wrong.
    """
    beside_dummy = _compare(evidence, evidence.baseline, lower_bound_beside_chance, error_rate, measure_dummy)
    champion, reference = (
        _compare(evidence, other, lower_bound, error_rate) if other else None
        for other in (evidence.champion, evidence.reference)
    )
    reasons = _not_beyond_chance(gate, beside_dummy)
    reasons += _worse_than_champion(gate, champion) if champion else []
    reasons += _worse(gate, reference, "the best version ever promoted") if reference else []
    return Weighed(
        reasons=tuple(f"{reason} (error rate {error_rate:.1e})" for reason in reasons),
        against_baseline=beside_dummy,
        against_champion=champion,
        against_reference=reference or champion,
        error_rate=error_rate,
    )


def _compare(
    evidence: Evidence,
    other: Answers,
    bound: Callable[[Measured, float], float],
    error_rate: float,
    measure_other: Callable[[str, Predictions], Measured] = measure,
) -> Comparison:
    """The primary metric of the model and of another one, on the records of the classes that both know."""
    metric, pair = evidence.aim.metric, beside(evidence, other)
    model, its = measure(metric, pair.model), measure_other(metric, pair.other)
    better = improvement(metric, model, its)
    return Comparison(
        metric=metric,
        model=model.value,
        other=its.value,
        records=len(pair.model.truth),
        difference=better.value,
        bound=bound(better, error_rate),
    )


def _metrics_beside(evidence: Evidence, other: Answers | None) -> dict[str, float] | None:
    """Another model's metrics on the records of the classes that it knows."""
    if other is None:
        return None
    ours, theirs = shared_classes(evidence.model.contract, other.contract)
    if not ours:
        return evaluate(other.contract, evidence.truth, other.scores, evidence.aim, evidence.clusters)
    known = np.isin(evidence.truth, ours)
    truth = np.array(theirs)[positions(evidence.truth[known], ours)]
    clusters = None if evidence.clusters is None else evidence.clusters[known]
    return evaluate(other.contract, truth, other.scores[known], evidence.aim, clusters)


def _new_classes(evidence: Evidence) -> tuple[str, ...]:
    beside = (("the model in production", evidence.champion), ("the best version", evidence.reference))
    return tuple(
        f"class {', '.join(new)} is new: compared with {name}, which does not know it, its records do not count"
        for name, other in beside
        if other and (new := _unknown(evidence.model.contract, other.contract))
    )


def _unknown(contract: Contract, other: Contract) -> list[str]:
    return [str(label) for label in contract.target.classes if label not in other.target.classes]


def _disagreement(agreement: Agreement) -> list[str]:
    return [] if agreement.holds else [f"the compiled and the fitted model disagree: {agreement}"]


def _not_beyond_chance(gate: Gate, found: Comparison) -> list[str]:
    # Of a loss a share: it may be in any unit.
    least = gate.baseline_margin * (found.other if found.metric in LOSSES else 1)
    if found.bound > least:
        return []
    return [f"it does not beat a dummy beyond chance: {_shown(found)}, and must be above {least:.3g}"]


def _worse_than_champion(gate: Gate, found: Comparison) -> list[str]:
    if gate.require == "not_worse":
        return _worse(gate, found, "the model in production")
    if found.bound > 0:
        return []
    return [f"it is not shown to be better than the model in production: {_shown(found)}, and must be above 0"]


def _worse(gate: Gate, found: Comparison, than: str) -> list[str]:
    least = -gate.margin * error_left(found.metric, found.other)
    if found.bound >= least:
        return []
    return [f"it may be worse than {than}: {_shown(found)}, and must not be below {least:.3g}"]


def _shown(found: Comparison) -> str:
    difference = "it is better by more than" if found.metric in LOSSES else "the difference is above"
    return f"{found.metric} {found.model:.3f} against {found.other:.3f}; {difference} {found.bound:.3f}"

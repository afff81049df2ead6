"""The gate: whether a model may go into production. Numbers in, a verdict with its reasons out.

Two contracts need not have the same classes, nor have them in the same order: what two models say is brought together
by the classes' labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelyard.contract import Contract, Frozen
from modelyard.models.bootstrap import paired_differences
from modelyard.models.compile import Agreement
from modelyard.models.metrics import evaluate, primary_metric, primary_value
from modelyard.usecase import Gate

Scores = NDArray[np.floating[Any]]


class Comparison(Frozen):
    """How a model does beside another one on the same records.

    Attributes:
        metric: Which metric.
        model: The model's.
        other: The other model's.
        records: On how many records: without those of classes that the other model does not know.
        difference: The model's minus the other's.
        bound: The difference is above this at the gate's level, by the paired bootstrap.
    """

    metric: str
    model: float
    other: float
    records: int
    difference: float
    bound: float


class Judgement(Frozen):
    """What the gate says of a model.

    Attributes:
        reasons: Why it is refused, a sentence each; empty: it may pass.
        metrics: The model's metrics on the test part.
        baseline: A dummy's metrics on the same records.
        champion: The metrics of the model in production on the same records, as far as it knows their classes.
        against_baseline: The primary metric beside the dummy's.
        against_champion: The primary metric beside the champion's.
        agreement: How far the compiled model is from the fitted one.
        records: How many records the test part has.
        notes: What else is to be known of the judgement, a sentence each.
    """

    reasons: tuple[str, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    baseline: dict[str, float] = Field(default_factory=dict)
    champion: dict[str, float] | None = None
    against_baseline: Comparison | None = None
    against_champion: Comparison | None = None
    agreement: Agreement
    records: int
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether the model may go into production."""
        return not self.reasons


class Answers(NamedTuple):
    """What a model says of the test part.

    Attributes:
        contract: The model's.
        scores: Of shape (records, classes) or (records, 1), the classes in the contract's order.
    """

    contract: Contract
    scores: Scores


@dataclass(frozen=True)
class Evidence:
    """What a model is judged by: answers to the same records.

    Attributes:
        truth: The model's class indices, or values, of the test part.
        model: What it says.
        baseline: What a dummy says; its contract is the model's.
        champion: What the model in production says, if there is one.
    """

    truth: NDArray[Any]
    model: Answers
    baseline: Answers
    champion: Answers | None = None


def objections_to_data(gate: Gate, contract: Contract, train: NDArray[Any], test: NDArray[Any]) -> list[str]:
    """Why nothing could be said of any model, from the targets of the training and the test part.

    Args:
        gate: Says how many test records are needed.
        contract: Says the classes.
        train: Labels or values of the training part.
        test: Labels or values of the test part.
    """
    found = []
    if len(test) < gate.minimum_test_records:
        found.append(f"too few test records: {len(test)}, and at least {gate.minimum_test_records} are needed")
    for part, target in (("training", train), ("test", test)):
        found += _objections_to_classes(contract, part, set(target.tolist()))
    return found


def _objections_to_classes(contract: Contract, part: str, there: set[Any]) -> list[str]:
    if not contract.kind.is_classification:
        return []
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


def judge(gate: Gate, evidence: Evidence, agreement: Agreement, seed: int) -> Judgement:
    """Judges a model by its answers on the test part.

    Args:
        gate: What a model must show.
        evidence: The answers.
        agreement: How far the compiled model is from the fitted one.
        seed: Of the bootstrap.
    """
    model, truth, champion = evidence.model, evidence.truth, evidence.champion
    against_baseline = _compare(gate, evidence, evidence.baseline, seed)
    against_champion = _compare(gate, evidence, champion, seed) if champion else None
    worse = _worse(gate, against_champion) if against_champion else []
    return Judgement(
        reasons=(*_disagreement(agreement), *_not_better(gate, against_baseline), *worse),
        metrics=evaluate(model.contract, truth, model.scores),
        baseline=evaluate(model.contract, truth, evidence.baseline.scores),
        champion=_metrics_beside(evidence, champion) if champion else None,
        against_baseline=against_baseline,
        against_champion=against_champion,
        agreement=agreement,
        records=len(truth),
        notes=_new_classes(model.contract, champion.contract) if champion else (),
    )


def _compare(gate: Gate, evidence: Evidence, other: Answers, seed: int) -> Comparison:
    """The primary metric of the model beside that of another one, on the records of the classes that both know."""
    contract, (truth, scores, others) = evidence.model.contract, _on_shared_classes(evidence, other)
    differences = paired_differences(contract.kind, truth, scores, others, gate.resamples, seed)
    model, its = (primary_value(contract.kind, truth, each) for each in (scores, others))
    return Comparison(
        metric=primary_metric(contract),
        model=model,
        other=its,
        records=len(truth),
        difference=model - its,
        bound=float(np.quantile(differences, 1 - gate.level)),
    )


def _on_shared_classes(evidence: Evidence, other: Answers) -> tuple[NDArray[Any], Scores, Scores]:
    """Truth, the model's scores and the other's on the records of the classes that both know, columns by these classes.

    Where a class is new, scores stay as they are: what the model gives to the new class it takes from the old ones.
    """
    truth, model = evidence.truth, evidence.model
    ours, theirs = _shared_classes(model.contract, other.contract)
    if not ours:
        return truth, model.scores, other.scores
    known = np.isin(truth, ours)
    return _positions(truth[known], ours), model.scores[known][:, ours], other.scores[known][:, theirs]


def _metrics_beside(evidence: Evidence, other: Answers) -> dict[str, float]:
    """Another model's metrics on the records of the classes that it knows."""
    ours, theirs = _shared_classes(evidence.model.contract, other.contract)
    if not ours:
        return evaluate(other.contract, evidence.truth, other.scores)
    known = np.isin(evidence.truth, ours)
    return evaluate(other.contract, np.array(theirs)[_positions(evidence.truth[known], ours)], other.scores[known])


def _shared_classes(contract: Contract, other: Contract) -> tuple[list[int], list[int]]:
    """Where the classes that two contracts share are in the one and in the other; empty in a regression."""
    places = {label: place for place, label in enumerate(other.target.classes)}
    shared = [(ours, places[label]) for ours, label in enumerate(contract.target.classes) if label in places]
    return [ours for ours, _ in shared], [theirs for _, theirs in shared]


def _positions(truth: NDArray[Any], classes: Sequence[int]) -> NDArray[np.intp]:
    # The classes are in rising order.
    return np.searchsorted(classes, truth)


def _new_classes(contract: Contract, other: Contract) -> tuple[str, ...]:
    new = [str(label) for label in contract.target.classes if label not in other.target.classes]
    if not new:
        return ()
    return (f"class {', '.join(new)} is new: beside the model in production, its records do not count",)


def _disagreement(agreement: Agreement) -> list[str]:
    return [] if agreement.holds else [f"the compiled and the fitted model disagree: {agreement}"]


def _not_better(gate: Gate, found: Comparison) -> list[str]:
    if found.bound > gate.baseline_margin:
        return []
    return [
        f"it does not beat a dummy beyond chance: {_shown(gate, found)}, and must be above {gate.baseline_margin:g}"
    ]


def _worse(gate: Gate, found: Comparison) -> list[str]:
    if found.bound >= -gate.champion_margin:
        return []
    margin = f"and must not be below {-gate.champion_margin:g}"
    return [f"it may be worse than the model in production: {_shown(gate, found)}, {margin}"]


def _shown(gate: Gate, found: Comparison) -> str:
    beside = f"{found.metric} {found.model:.3f} against {found.other:.3f}"
    return f"{beside}; at level {gate.level:g} the difference is above {found.bound:.3f}"

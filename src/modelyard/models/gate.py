"""The gate: whether a model may go into production. Numbers in, a verdict with its reasons out."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelyard.contract import Contract, Frozen
from modelyard.models.bootstrap import paired_differences
from modelyard.models.compile import Agreement
from modelyard.models.evaluate import evaluate, primary_metric
from modelyard.usecase import Gate

Scores = NDArray[np.floating[Any]]


class Comparison(Frozen):
    """How a model does beside another one on the same records.

    Attributes:
        metric: Which metric.
        model: The model's.
        other: The other model's.
        difference: The model's minus the other's.
        bound: The difference is above this at the gate's level, by the paired bootstrap.
    """

    metric: str
    model: float
    other: float
    difference: float
    bound: float


class Judgement(Frozen):
    """What the gate says of a model.

    Attributes:
        reasons: Why it is refused, a sentence each; empty: it may pass.
        metrics: The model's metrics on the test part.
        baseline: A dummy's metrics on the same records.
        champion: The metrics of the model in production on the same records.
        against_baseline: The primary metric beside the dummy's.
        against_champion: The primary metric beside the champion's.
        agreement: How far the compiled model is from the fitted one.
        records: How many records the test part has.
    """

    reasons: tuple[str, ...]
    metrics: dict[str, float] = Field(default_factory=dict)
    baseline: dict[str, float] = Field(default_factory=dict)
    champion: dict[str, float] | None = None
    against_baseline: Comparison | None = None
    against_champion: Comparison | None = None
    agreement: Agreement
    records: int

    @property
    def passed(self) -> bool:
        """Whether the model may go into production."""
        return not self.reasons


def objections_to_data(gate: Gate, contract: Contract, train: NDArray[Any], test: NDArray[Any]) -> list[str]:
    """Why nothing could be said of any model, from the targets of the training and the test part.

    Args:
        gate: Says how many test records are needed.
        contract: Says the classes.
        train: Class indices or values of the training part.
        test: Class indices or values of the test part.
    """
    found = []
    if len(test) < gate.minimum_test_records:
        found.append(f"too few test records: {len(test)}, and at least {gate.minimum_test_records} are needed")
    for part, truth in (("training", train), ("test", test)):
        missing = [str(label) for index, label in enumerate(contract.target.classes) if not np.any(truth == index)]
        if missing:
            found.append(f"the {part} part has no record of class {', '.join(missing)}")
    return found


def judge(
    gate: Gate,
    contract: Contract,
    truth: NDArray[Any],
    scores: Scores,
    dummy_scores: Scores,
    champion: tuple[Contract, Scores] | None,
    agreement: Agreement,
    objections: Sequence[str],
    seed: int,
) -> Judgement:
    """Judges a model by its answers on the test part.

    Args:
        gate: What a model must show.
        contract: The model's.
        truth: Class indices or values of the test part.
        scores: The model's scores.
        dummy_scores: A dummy's scores on the same records.
        champion: Contract and scores on the same records of the model in production, if there is one.
        agreement: How far the compiled model is from the fitted one.
        objections: What was found against it before, a sentence each.
        seed: Of the bootstrap.
    """
    reasons = list(objections)
    if not agreement.holds:
        reasons.append(f"the compiled and the fitted model disagree: {agreement}")
    if objections:
        return Judgement(reasons=tuple(reasons), agreement=agreement, records=len(truth))
    against_baseline = _compare(gate, contract, truth, scores, dummy_scores, seed)
    against_champion = champion and _compare(gate, contract, truth, scores, champion[1], seed)
    reasons += _not_better(gate, against_baseline) + (_worse(gate, against_champion) if against_champion else [])
    return Judgement(
        reasons=tuple(reasons),
        metrics=evaluate(contract, truth, scores),
        baseline=evaluate(contract, truth, dummy_scores),
        champion=evaluate(champion[0], truth, champion[1]) if champion else None,
        against_baseline=against_baseline,
        against_champion=against_champion or None,
        agreement=agreement,
        records=len(truth),
    )


def _compare(
    gate: Gate, contract: Contract, truth: NDArray[Any], scores: Scores, other: Scores, seed: int
) -> Comparison:
    metric = primary_metric(contract)
    differences = paired_differences(contract.kind, truth, scores, other, gate.resamples, seed)
    model, others = evaluate(contract, truth, scores)[metric], evaluate(contract, truth, other)[metric]
    return Comparison(
        metric=metric,
        model=model,
        other=others,
        difference=model - others,
        bound=float(np.quantile(differences, 1 - gate.level)),
    )


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

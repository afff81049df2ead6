"""What several models say of the same records, brought together.

Two contracts need not have the same classes, nor have them in the same order: what two models say is brought together
by the classes' labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from modelyard.contract import Contract
from modelyard.models.evaluation.measures import Predictions
from modelyard.objective import Objective

Scores = NDArray[np.floating[Any]]


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
        reference: What the best version ever promoted says, where that is another one than the model in production.
        clusters: Which records belong together, as those of one customer, and are not independent: the cluster of each
            record. None: all are independent.
        objective: What the models are to be good at. None: what is usual for their kind.
        slices: By the name of a column, the value that each record has in it: what is judged by itself.
    """

    truth: NDArray[Any]
    model: Answers
    baseline: Answers
    champion: Answers | None = None
    reference: Answers | None = None
    clusters: NDArray[Any] | None = None
    objective: Objective | None = None
    slices: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def aim(self) -> Objective:
        """What the models are to be good at."""
        contract = self.model.contract
        return self.objective or Objective.of(contract.kind, contract.target)


class Pair(NamedTuple):
    """What two models say of the records of the classes that both know.

    Attributes:
        model: What the one says.
        other: What the other one says.
        known: Which records of the test part these are.
    """

    model: Predictions
    other: Predictions
    known: NDArray[np.bool_]

    def on(self, records: NDArray[np.bool_]) -> "Pair":
        """The same of some of the test part's records."""
        here = records[self.known]
        return Pair(self.model.on(here), self.other.on(here), self.known & records)


def beside(evidence: Evidence, other: Answers) -> Pair:
    """The model's answers and those of another one, on the records of the classes that both know.

    Where a class is new, scores stay as they are here: what the model gives to the new class, the old ones lack. Log
    loss and Brier score scale them to add up to 1.
    """
    truth = evidence.truth
    if not evidence.model.contract.kind.is_classification:
        everywhere = np.ones(len(truth), dtype=np.bool_)
        return Pair(_values(evidence, evidence.model), _values(evidence, other), everywhere)
    ours, theirs = shared_classes(evidence.model.contract, other.contract)
    known = np.isin(truth, ours)
    return Pair(
        _of_classes(evidence, evidence.model, known, ours, ours),
        _of_classes(evidence, other, known, ours, theirs),
        known,
    )


def shared_classes(contract: Contract, other: Contract) -> tuple[list[int], list[int]]:
    """Where the classes that two contracts share are in the one and in the other; empty in a regression."""
    places = {label: place for place, label in enumerate(other.target.classes)}
    shared = [(ours, places[label]) for ours, label in enumerate(contract.target.classes) if label in places]
    return [ours for ours, _ in shared], [theirs for _, theirs in shared]


def positions(truth: NDArray[Any], classes: Sequence[int]) -> NDArray[np.intp]:
    """The place that each class index has among some class indices, which are in rising order."""
    return np.searchsorted(classes, truth)


def _values(evidence: Evidence, answers: Answers) -> Predictions:
    return Predictions(
        objective=evidence.aim,
        truth=evidence.truth,
        scores=answers.scores.astype(np.float64),
        decided=np.empty(0, dtype=np.intp),
        clusters=evidence.clusters,
    )


def _of_classes(
    evidence: Evidence, answers: Answers, known: NDArray[np.bool_], ours: Sequence[int], places: Sequence[int]
) -> Predictions:
    """Answers as they are about the shared classes, which are at `ours` in the model's contract, at `places` in its."""
    labels = evidence.model.contract.target.classes
    scores = answers.scores[known][:, places].astype(np.float64)
    return Predictions(
        objective=evidence.aim,
        truth=positions(evidence.truth[known], ours),
        scores=scores,
        decided=_decided(answers, known, scores, places),
        classes=tuple(labels[place] for place in ours),
        clusters=None if evidence.clusters is None else evidence.clusters[known],
    )


def _decided(
    answers: Answers, known: NDArray[np.bool_], scores: NDArray[np.float64], places: Sequence[int]
) -> NDArray[np.intp]:
    if len(places) < len(answers.contract.target.classes):
        return np.asarray(np.argmax(scores, axis=1), dtype=np.intp)
    place = np.empty(len(places), dtype=np.intp)
    place[list(places)] = np.arange(len(places))
    return place[answers.contract.decide(answers.scores[known])]

"""Answers of a candidate to records that it was not fitted on: what it is chosen, calibrated and decided by.

Up to some number of records they come from a cross-validation: each record of the training and the validation part is
answered by a model that was fitted on others, which neither are of its group nor came later, where the split goes by
group or time. Beyond it, fitting so often would take too long and change nothing: the model of the training part
answers the validation part.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Contract
from modelyard.models.evaluation.metrics import truth
from modelyard.split import Times, clusters_of, folds_of
from modelyard.use_case import Split

FOLDS = 5
# From so many records of the training and the validation part on, one held-out part says as much as five folds.
MANY_RECORDS = 20_000

# Of each, the positions of the records that are fitted on, and of those that are answered.
Folds = Sequence[tuple[NDArray[np.intp], NDArray[np.intp]]]
Scores = NDArray[np.floating[Any]]
# Fits on the first frame and answers the second.
Answer = Callable[[pd.DataFrame, pd.DataFrame], Scores]


class HeldOut(NamedTuple):
    """Answers to records that were not fitted on.

    Attributes:
        records: The records.
        truth: Their class indices or values.
        scores: Probabilities of shape (records, classes), or values of shape (records, 1).
        folds: By how many models they were answered.
        clusters: The cluster of each record; None: each is its own.
    """

    records: pd.DataFrame
    truth: NDArray[Any]
    scores: Scores
    folds: int
    clusters: NDArray[np.intp] | None = None


class Dependence(NamedTuple):
    """Which records depend on each other.

    Attributes:
        split: How the snapshot was parted.
        groups: What the records of each group have in common; None: they stand alone.
        times: When each record came about; None: it does not matter.
    """

    split: Split = Split()
    groups: Sequence[str] | None = None
    times: Times | None = None

    @property
    def clusters(self) -> NDArray[np.intp] | None:
        """The cluster of each record; None: each is its own."""
        return clusters_of(self.groups, self.times)

    def on(self, records: slice) -> "Dependence":
        """The same of some of the records."""
        groups, times = self.groups, self.times
        return Dependence(
            self.split, None if groups is None else groups[records], None if times is None else times[records]
        )


INDEPENDENT = Dependence()


def choose_folds(
    contract: Contract, train: pd.DataFrame, validation: pd.DataFrame, seed: int, dependence: Dependence = INDEPENDENT
) -> Folds:
    """The folds of the records of the training part and, after these, of the validation part.

    Args:
        contract: Says the target.
        train: The training part.
        validation: The validation part. It is the one fold where there are many records, or where every other one would
            be answered by a model that does not know all classes.
        seed: Of what is random.
        dependence: Which of the records of both parts, in this order, depend on each other.
    """
    records = pd.concat([train, validation])
    by_part = (np.arange(len(train)), np.arange(len(train), len(records)))
    if len(records) >= MANY_RECORDS:
        return [by_part]
    target = records[contract.target.name].to_numpy()
    is_classification = contract.kind.is_classification
    classes: NDArray[Any] = truth(contract, target) if is_classification else np.zeros(len(records))
    split, groups, times = dependence
    folds = folds_of(records.index.tolist(), split, FOLDS, seed, groups=groups, times=times, classes=classes)
    all_classes = len(np.unique(classes))
    return [each for each in folds if len(np.unique(classes[each[0]])) == all_classes] or [by_part]


def hold_out(
    contract: Contract,
    records: pd.DataFrame,
    folds: Folds,
    answer: Answer,
    clusters: NDArray[np.intp] | None = None,
) -> HeldOut:
    """Has the records of each fold answered by a model of other records.

    Args:
        contract: Says the target.
        records: Those of the training and the validation part.
        folds: Their folds; no record is answered twice.
        answer: Fits and answers.
        clusters: The cluster of each record; None: each is its own.
    """
    scores = np.empty((len(records), len(contract.target.classes) or 1))
    for fitted, asked in folds:
        scores[asked] = answer(records.iloc[fitted], records.iloc[asked])
    held = np.sort(np.concatenate([asked for _, asked in folds]))
    answered = records.iloc[held]
    known = truth(contract, answered[contract.target.name].to_numpy())
    return HeldOut(answered, known, scores[held], len(folds), None if clusters is None else clusters[held])

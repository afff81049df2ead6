"""Answers of a candidate to records that it was not fitted on: what it is chosen, calibrated and decided by.

Up to some number of records they come from a cross-validation: each record of the training and the validation part is
answered by a model that was fitted on the other folds. Beyond it, fitting so often would take too long and change
nothing: the model of the training part answers the validation part.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Contract
from modelyard.models.metrics import truth

FOLDS = 5
# From so many records of the training and the validation part on, one held-out part says as much as five folds.
MANY_RECORDS = 20_000
# The fold of records that are fitted on always, and never answered.
NEVER_HELD_OUT = -1

Folds = NDArray[np.intp]
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
    """

    records: pd.DataFrame
    truth: NDArray[Any]
    scores: Scores
    folds: int


def choose_folds(contract: Contract, train: pd.DataFrame, validation: pd.DataFrame, seed: int) -> Folds:
    """The fold of each record of the training part, then of the validation part.

    Args:
        contract: Says the target.
        train: The training part.
        validation: The validation part. Of many records, it is the one fold that is held out.
        seed: Of the folds.
    """
    if len(train) + len(validation) >= MANY_RECORDS:
        return np.repeat([NEVER_HELD_OUT, 0], [len(train), len(validation)])
    target = pd.concat([train, validation])[contract.target.name].to_numpy()
    known = truth(contract, target) if contract.kind.is_classification else np.zeros(len(target))
    return spread_evenly(known, seed)


def spread_evenly(classes: NDArray[Any], seed: int) -> Folds:
    """Folds by chance, in each of which a class has its share of records, to within one.

    Args:
        classes: Of each record; of a regression, one for all.
        seed: Of the chance.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(classes)), classes))
    folds = np.empty(len(classes), dtype=np.intp)
    # One after the other, so that two records of a rare class are in two folds.
    folds[order] = np.arange(len(classes)) % FOLDS
    return folds


def hold_out(contract: Contract, records: pd.DataFrame, folds: Folds, answer: Answer) -> HeldOut:
    """Has every record that has a fold answered by a model of the records outside of it.

    Args:
        contract: Says the target.
        records: Those of the training and the validation part.
        folds: The fold of each.
        answer: Fits and answers.
    """
    held = np.flatnonzero(folds != NEVER_HELD_OUT)
    numbers = np.unique(folds[held])
    scores = np.empty((len(records), len(contract.target.classes) or 1))
    for number in numbers:
        inside = folds == number
        scores[inside] = answer(records[~inside], records[inside])
    answered = records.iloc[held]
    known = truth(contract, answered[contract.target.name].to_numpy())
    return HeldOut(answered, known, scores[held], len(numbers))

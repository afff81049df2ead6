"""Which records are held out, and that nothing of them is known to the model that answers them."""

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import TaskKind
from modelyard.models import cross_validation
from modelyard.models.cross_validation import FOLDS, choose_folds, hold_out, spread_evenly
from tests.unit.test_fit import records, use_case


def test_each_fold_has_its_share_of_each_class() -> None:
    classes = np.repeat([0, 1, 2], [100, 52, 2])
    folds = spread_evenly(classes, seed=1)
    counts = np.array([[np.sum((classes == each) & (folds == fold)) for fold in range(FOLDS)] for each in range(3)])
    assert np.all(np.ptp(counts, axis=1) <= 1)
    # Two records of a class are in two folds: whichever is held out, one is left to learn from.
    assert counts[2].max() == 1
    assert np.array_equal(folds, spread_evenly(classes, seed=1))
    assert not np.array_equal(folds, spread_evenly(classes, seed=2))


def test_a_record_is_answered_by_a_model_that_never_saw_it() -> None:
    frame = records(TaskKind.BINARY, 100, 0)

    def answer(learnt: pd.DataFrame, asked: pd.DataFrame) -> np.ndarray:
        assert len(learnt) + len(asked) == 100
        assert not set(learnt["size"].dropna()) & set(asked["size"].dropna())
        return np.column_stack([asked["rooms"], asked["rooms"]])

    contract = use_case(TaskKind.BINARY).contract()
    held = hold_out(contract, frame, choose_folds(contract, frame[:90], frame[90:], 0), answer)
    assert held.folds == FOLDS
    assert np.array_equal(held.scores[:, 0], frame["rooms"])
    assert np.array_equal(held.truth == 1, frame["answer"] == "approved")


def test_of_many_records_the_validation_part_alone_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = records(TaskKind.REGRESSION, 100, 0)
    contract = use_case(TaskKind.REGRESSION).contract()
    monkeypatch.setattr(cross_validation, "MANY_RECORDS", 100)
    folds = choose_folds(contract, frame[:70], frame[70:], 0)
    held = hold_out(contract, frame, folds, lambda _, asked: asked[["rooms"]].to_numpy())
    assert held.folds == 1
    assert held.records.equals(frame[70:])

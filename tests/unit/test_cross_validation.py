"""Which records are held out, and that nothing of them is known to the model that answers them."""

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import TaskKind
from modelyard.models import cross_validation
from modelyard.models.cross_validation import FOLDS, Dependence, choose_folds, hold_out
from modelyard.use_case import Split
from tests.unit.test_fit import records, use_case


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


def test_what_is_answered_came_after_all_that_was_fitted_on() -> None:
    frame, times = records(TaskKind.BINARY, 120, 0), np.arange(120).astype("datetime64[D]")
    contract = use_case(TaskKind.BINARY).contract()
    dependence = Dependence(Split(time="on", validation="30d", test="30d"), None, times)
    folds = choose_folds(contract, frame[:90], frame[90:], 0, dependence)
    assert len(folds) == FOLDS
    assert all(times[fitted].max() < times[asked].min() for fitted, asked in folds)
    assert hold_out(contract, frame, folds, lambda _, asked: np.ones((len(asked), 2))).records.equals(frame[20:])


def test_what_would_not_know_all_classes_answers_nothing() -> None:
    frame = records(TaskKind.BINARY, 100, 0)
    frame["answer"] = ["approved"] + ["refused"] * 99
    contract = use_case(TaskKind.BINARY).contract()
    folds = choose_folds(contract, frame[:70], frame[70:], 0)
    assert len(folds) == FOLDS - 1
    times = np.arange(100)[::-1].astype("datetime64[D]")
    [(fitted, asked)] = choose_folds(
        contract, frame[:70], frame[70:], 0, Dependence(Split(time="on", validation="9d", test="9d"), None, times)
    )
    assert (len(fitted), len(asked)) == (70, 30)

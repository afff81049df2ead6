"""Probabilities are corrected where held-out answers ask for it, and only there."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, softmax

from modelyard.contract import Calibration, TaskKind
from modelyard.models.calibration import FEWEST_OF_A_CLASS, calibrate, fit_calibration, prior_correction
from modelyard.models.cross_validation import HeldOut
from modelyard.models.evaluation.reliability import (
    asked_about,
    calibration_error,
    log_losses,
    probability_metrics,
    reliability_of,
)
from modelyard.models.fit import fit
from tests.unit.test_fit import records, use_case

Classes = np.ndarray


def answers(count: int, exaggeration: float, seed: int = 0) -> tuple[Classes, np.ndarray]:
    """What happened, and probabilities of two classes whose logits are so many times as large as they should be."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(-1, 1.5, count)
    truth = (generator.random(count) < expit(logits)).astype(np.intp)
    said = expit(exaggeration * logits)
    return truth, np.column_stack([1 - said, said])


def held(truth: Classes, scores: np.ndarray) -> HeldOut:
    return HeldOut(pd.DataFrame(index=range(len(truth))), truth, scores, 5)


def test_a_model_that_is_too_sure_is_calibrated_and_ranks_as_before() -> None:
    truth, scores = answers(2000, exaggeration=2.5)
    found = fit_calibration(held(truth, scores), None, seed=0)
    assert found is not None
    assert np.mean(found.slopes) == pytest.approx(0.4, abs=0.06)
    fresh, said = answers(5000, exaggeration=2.5, seed=1)
    better = calibrate(said, found)
    assert log_losses(fresh, better).mean() < log_losses(fresh, said).mean() - 0.05
    assert np.array_equal(np.argsort(better[:, 1]), np.argsort(said[:, 1]))


def test_probabilities_that_are_right_and_few_records_are_left_alone() -> None:
    truth, scores = answers(3000, exaggeration=1)
    assert fit_calibration(held(truth, scores), None, seed=0) is None or (
        calibration_error(*asked_about(truth, scores)).value < 0.01
    )
    some = np.flatnonzero(truth)[: FEWEST_OF_A_CLASS - 1]
    few = np.concatenate([some, np.flatnonzero(truth == 0)])
    truth, scores = answers(3000, exaggeration=4)
    start = Calibration(slopes=(1, 1), intercepts=(0.0, 1.0))
    assert fit_calibration(held(truth[few], scores[few]), start, seed=0) is start


def test_more_than_two_classes() -> None:
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 1.5, (3000, 4)) + np.array([1, 0, 0, -1])
    happened = (softmax(logits, axis=1).cumsum(axis=1) > generator.random((3000, 1))).argmax(axis=1)
    said = softmax(3 * logits + [0, 0, 1, 0], axis=1)
    found = fit_calibration(held(happened[:1500], said[:1500]), None, seed=0)
    assert found is not None
    assert calibration_error(*asked_about(happened[1500:], said[1500:])).low > 0.1
    assert calibration_error(*asked_about(happened[1500:], calibrate(said[1500:], found))).value < 0.03


def test_what_was_undersampled_is_corrected_by_its_share() -> None:
    contract = use_case(TaskKind.BINARY).contract()
    before = pd.DataFrame({"answer": ["refused"] * 900 + ["approved"] * 100})
    after = before[800:]
    found = prior_correction(contract, before, after)
    assert found is not None
    assert calibrate(np.array([[0.5, 0.5]]), found)[0, 1] == pytest.approx(0.1, abs=1e-4)
    assert prior_correction(contract, before, before) is None


def unbalanced(rows: int, seed: int) -> pd.DataFrame:
    frame = records(TaskKind.BINARY, rows, seed)
    return frame[(frame["answer"] == "refused") | (frame.index % 8 == 0)]


@pytest.mark.parametrize("candidate", ["linear", "forest", "boosting"])
def test_an_undersampled_model_says_the_share_compiled_too(candidate: str) -> None:
    case = use_case(TaskKind.BINARY)
    train, validation, test = (unbalanced(rows, seed) for seed, rows in enumerate((2000, 600, 2000)))
    sampled = case.candidate(candidate).model_copy(update={"positive_share": 0.5})
    model = fit(case, sampled, train, validation, test)
    assert model.contract.calibration is not None
    assert model.agreement.holds, str(model.agreement)
    assert model.test_scores[:, 1].mean() == pytest.approx((test["answer"] == "approved").mean(), abs=0.02)
    assert model.test["brier_score"] < model.baseline["brier_score"]
    assert model.contract.reliability is not None
    assert model.contract.reliability.log_loss.value == model.test["log_loss"]


def test_an_interval_holds_what_is_true_of_all_records() -> None:
    truth, scores = answers(200_000, exaggeration=1.5, seed=9)
    whole = probability_metrics(truth, scores)
    inside = dict.fromkeys(("log_loss", "brier_score", "calibration_error"), 0)
    for seed in range(200):
        found = probability_metrics(*answers(1000, exaggeration=1.5, seed=seed))
        for name in inside:
            inside[name] += found[f"{name}_low"] <= whole[name] <= found[f"{name}_high"]
    assert all(count >= 180 for count in inside.values()), inside


def test_perfect_probabilities_have_no_calibration_error_beyond_chance() -> None:
    found = [calibration_error(*asked_about(*answers(300, 1, seed))).value for seed in range(50)]
    assert np.mean(found) < 0.01


def test_intervals_of_probabilities_count_groups_where_records_depend_on_each_other() -> None:
    """Each of 100 records, said five times, is known no better than said once."""
    truth, scores = answers(100, 1, 0)
    groups = np.repeat(np.arange(100), 5)
    once = reliability_of(truth, scores)
    five_times = reliability_of(truth.repeat(5), scores.repeat(5, axis=0), groups)
    for name in ("log_loss", "brier_score", "calibration_error"):
        alone, together = getattr(once, name), getattr(five_times, name)
        assert (together.value, together.low, together.high) == pytest.approx(
            (alone.value, alone.low, alone.high), abs=0.01
        )
    taken_for_independent = reliability_of(truth.repeat(5), scores.repeat(5, axis=0)).log_loss
    assert taken_for_independent.high - taken_for_independent.low < 0.5 * (once.log_loss.high - once.log_loss.low)

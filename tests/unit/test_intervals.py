"""Intervals hold the truth as often as they promise, also where errors grow with the answer."""

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import Contract, Interval, TaskKind
from modelyard.errors import StepFailed
from modelyard.models.cross_validation import HeldOut
from modelyard.models.fit import Fitted, fit
from modelyard.models.intervals import fit_interval
from tests.unit.made_up import records, use_case

CONTRACT = use_case(TaskKind.REGRESSION).contract()
Pair = tuple[np.ndarray, np.ndarray]


def pairs(count: int, seed: int, *, growing: bool = False) -> Pair:
    """What happened, and what was said."""
    generator = np.random.default_rng(seed)
    said = generator.uniform(1, 10, count)
    return said + generator.normal(size=count) * (said if growing else 1), said


def interval(pair: Pair, coverage: float = 0.9) -> Interval:
    truth, said = pair
    return fit_interval(CONTRACT, HeldOut(pd.DataFrame(), truth, said[:, np.newaxis], 5), coverage, seed=0)


def inside(found: Interval, pair: Pair) -> np.ndarray:
    truth, said = pair
    return np.asarray(np.abs(truth - said) <= found.half_widths_of(said))


@pytest.mark.parametrize("growing", [False, True])
@pytest.mark.parametrize("count", [20, 100, 400])
def test_as_many_are_inside_as_promised(count: int, growing: bool) -> None:
    shares = [
        inside(interval(pairs(count, seed, growing=growing)), pairs(1000, seed + 500, growing=growing)).mean()
        for seed in range(40)
    ]
    assert 0.885 <= np.mean(shares) <= 0.93


def test_where_errors_grow_with_the_answer_so_do_the_intervals() -> None:
    found, fresh = interval(pairs(2000, 0, growing=True)), pairs(20_000, 1, growing=True)
    large = fresh[1] > 8
    assert inside(found, fresh)[large].mean() == pytest.approx(0.9, abs=0.03)
    assert found.half_widths_of(np.array([9.0]))[0] > 3 * found.half_widths_of(np.array([2.0]))[0]


def test_too_few_records_for_a_promise_are_named() -> None:
    assert interval(pairs(9, 0)).coverage == 0.9
    with pytest.raises(StepFailed, match="needs 9 held-out records, and there are 8"):
        interval(pairs(8, 0))


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    case = use_case(TaskKind.REGRESSION).model_copy(update={"intervals": 0.9})
    train, validation, test = (records(TaskKind.REGRESSION, rows, seed) for seed, rows in enumerate((400, 100, 1000)))
    return fit(case, case.candidate("linear"), train, validation, test)


def test_answers_have_them(fitted: Fitted) -> None:
    contract = Contract.model_validate_json(fitted.files["contract.json"])
    assert 0.85 <= fitted.test["interval_coverage"] <= 0.95
    [answer] = contract.answers(np.array([[100.0]], dtype=np.float32))
    assert answer.lower is not None
    assert answer.upper is not None
    assert answer.lower < answer.prediction == 100 < answer.upper  # type: ignore[operator]
    assert contract.interval is not None
    assert contract.breaking_changes(contract.model_copy(update={"interval": None})) == [
        "answers had an interval and would have none"
    ]

from datetime import date

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.models.sampling import bootstrap, undersample

TRAIN = pd.DataFrame(
    {"age": np.arange(1000, dtype=np.float32), "failed": (np.arange(1000) % 14 == 0).astype(int)},
    index=[f"k{n:04}" for n in range(1000)],
)
CONTRACT = Contract(
    use_case="failures",
    kind=TaskKind.BINARY,
    features=(Feature(name="age", type=FeatureType.NUMBER),),
    target=Target(name="failed", classes=(0, 1)),
)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_positive_class_has_the_share_that_was_asked_for(share: float) -> None:
    drawn = undersample(TRAIN, CONTRACT, share, seed=1)
    assert drawn["failed"].mean() == pytest.approx(share, abs=0.01)
    assert drawn["failed"].sum() == TRAIN["failed"].sum()


def test_records_are_left_out_never_doubled_and_stay_in_order() -> None:
    drawn = undersample(TRAIN, CONTRACT, 0.5, seed=1)
    assert drawn.index.is_unique
    assert drawn.index.is_monotonic_increasing


def test_a_part_that_has_the_share_already_stays_whole() -> None:
    assert undersample(TRAIN, CONTRACT, 0.01, seed=1) is TRAIN


def test_the_same_seed_leaves_out_the_same_records() -> None:
    one, again, other = (undersample(TRAIN, CONTRACT, 0.5, seed) for seed in (1, 1, 2))
    assert one.equals(again)
    assert not one.equals(other)


def test_a_bootstrap_is_as_long_and_the_same_on_the_same_day() -> None:
    one, again = (bootstrap(TRAIN, 0, date(2026, 11, 20)) for _ in range(2))
    assert len(one) == len(TRAIN)
    assert one.equals(again)
    # Of n records drawn n times, a share of 1 - 1/e is among them.
    assert one.index.nunique() / len(TRAIN) == pytest.approx(0.632, abs=0.03)


@pytest.mark.parametrize(("seed", "day"), [(0, date(2026, 11, 21)), (1, date(2026, 11, 20))])
def test_another_day_or_seed_draws_others(seed: int, day: date) -> None:
    assert not bootstrap(TRAIN, seed, day).equals(bootstrap(TRAIN, 0, date(2026, 11, 20)))

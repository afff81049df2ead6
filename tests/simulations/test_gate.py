"""The gate's error rate and power, on many tables that are drawn."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest

from benchmarks import gate as benchmark

RECORDS = 1000
POSITIVES = [1, 2, 3, 10, 20, 100]
DRAWS = 300


def share_passed(draw: Callable[[np.random.Generator], Sequence[float]], draws: int = DRAWS) -> float:
    generator = np.random.default_rng(7)
    return float(np.mean([draw(generator) for _ in range(draws)]))


@pytest.mark.parametrize("positives", POSITIVES)
def test_noise_does_not_pass_however_few_positives_there_are(positives: int) -> None:
    assert share_passed(partial(benchmark.false_pass, positives, RECORDS)) <= 0.01


def test_noise_does_not_pass_on_small_tables() -> None:
    assert share_passed(partial(benchmark.false_pass, 15, 30)) <= 0.01
    assert share_passed(partial(benchmark.false_pass_of_three_classes, 60)) <= 0.01
    assert share_passed(partial(benchmark.false_pass_of_values, 30)) <= 0.015


def test_of_many_models_of_noise_none_passes_on_a_table_that_grows() -> None:
    assert share_passed(benchmark.any_false_pass, 5) == 0


def test_what_is_good_passes_all_the_same() -> None:
    assert share_passed(partial(benchmark.power_of_first, 20, RECORDS)) >= 0.85
    assert share_passed(partial(benchmark.power, RECORDS, 100, False)) >= 0.5


def test_forty_retrainings_each_a_little_worse_do_not_walk_downhill() -> None:
    generator = np.random.default_rng(7)
    promoted, lost = np.mean([benchmark.walk(generator) for _ in range(3)], axis=0)
    assert promoted <= 4
    assert lost <= 0.02

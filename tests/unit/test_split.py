"""The split: which part a record is in follows from its key and the seed, for ever."""

import hashlib
from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelyard.split import NO_PART, Times, borders_of, clusters_of, folds_of, parts_in_time, parts_of, spread_evenly
from modelyard.use_case import Split


def test_known_keys_are_in_known_parts() -> None:
    keys = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "", "ä", "Zürich", "x" * 1000]
    # The second letter tells train, validation and test apart.
    letters = ["".join(part[1] for part in parts_of(keys, Split(seed=seed))) for seed in (0, 1)]
    assert letters == ["eeerrrerrrarrer", "rrarerarrrrrrrr"]


@settings(deadline=None)
@given(st.text(), st.integers())
def test_the_rule_is_as_documented(key: str, seed: int) -> None:
    try:
        text = f"{seed}:{key}".encode()
    except UnicodeEncodeError:
        return
    place = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") / 2**64
    expected = "train" if place < 0.7 else "validation" if place < 0.8 else "test"
    assert parts_of([key], Split(seed=seed)).tolist() == [expected]


def test_the_shares_are_those_that_were_asked_for() -> None:
    keys = [str(number) for number in range(100_000)]
    for split in (Split(), Split(train=0.5, validation=0.25, test=0.25, seed=7)):
        counted = Counter(parts_of(keys, split).tolist())
        for part in ("train", "validation", "test"):
            assert counted[part] / len(keys) == pytest.approx(getattr(split, part), abs=0.01)


def test_a_record_stays_in_its_part_whatever_else_comes_in() -> None:
    keys = [f"k{number}" for number in range(1000)]
    alone = [parts_of([key], Split())[0] for key in keys[:50]]
    assert parts_of(keys, Split())[:50].tolist() == alone


def test_no_records_have_no_parts() -> None:
    assert parts_of([], Split()).tolist() == []


def test_a_part_that_the_source_gives_is_kept_and_training_is_shared_with_validation() -> None:
    keys = [str(number) for number in range(20_000)]
    split = Split(train=0.64, validation=0.16, test=0.2)
    assert set(parts_of(keys, split, ["test"] * len(keys)).tolist()) == {"test"}
    assert set(parts_of(keys, split, ["validation"] * len(keys)).tolist()) == {"validation"}
    counted = Counter(parts_of(keys, split, ["train"] * len(keys)).tolist())
    assert counted["validation"] / len(keys) == pytest.approx(0.2, abs=0.01)
    assert counted["test"] == 0
    assert parts_of(keys, split, [None] * len(keys)).tolist() == parts_of(keys, split).tolist()


def at(*days: str) -> Times:
    return np.array(days, dtype="datetime64[us]")


ROLLING = Split(time="ordered_on", validation="10d", test="20d")


def test_records_that_stand_together_are_in_one_part() -> None:
    groups = [f"c{number % 50}" for number in range(1000)]
    parts = parts_of(groups, Split(by="customer"))
    assert len(set(zip(groups, parts.tolist(), strict=True))) == 50


def test_fixed_borders_begin_with_their_moment() -> None:
    split = Split(time="t", validation_from="2026-02-01", test_from="2026-03-01T02:00:00+02:00")
    borders = borders_of(split, datetime.fromisoformat("2030-01-01"))
    assert (borders.validation_from, borders.test_from) == (
        datetime.fromisoformat("2026-02-01"),
        datetime.fromisoformat("2026-03-01"),
    )
    times = at("2026-01-31T23:59:59.999999", "2026-02-01", "2026-02-28T23:59", "2026-03-01", "2029-01-01")
    assert parts_in_time(times, borders).tolist() == ["train", "validation", "validation", "test", "test"]


@pytest.mark.parametrize(
    ("test", "newest", "test_from"),
    [
        ("20d", "2026-06-30T00:00", "2026-06-11"),
        ("20d", "2026-06-30T23:59", "2026-06-11"),
        ("2w", "2026-06-30T12:00", "2026-06-17"),
        ("6h", "2026-06-30T12:30", "2026-06-30T07:00"),
    ],
)
def test_borders_that_roll_are_counted_back_from_the_end_of_the_newest_day(
    test: str, newest: str, test_from: str
) -> None:
    borders = borders_of(Split(time="t", validation="1d", test=test), datetime.fromisoformat(newest))
    assert borders.test_from == datetime.fromisoformat(test_from)
    assert borders.validation_from == borders.test_from - timedelta(days=1)


def test_borders_are_never_beyond_all_times() -> None:
    last = borders_of(ROLLING, datetime.fromisoformat("9999-12-31T23:59"))
    assert last.test_from == datetime.fromisoformat("9999-12-11T23:59:59.999999")
    first = borders_of(ROLLING, datetime.fromisoformat("0001-01-25"))
    assert (first.validation_from, first.test_from) == (
        datetime.fromisoformat("0001-01-01"),
        datetime.fromisoformat("0001-01-06"),
    )


@pytest.mark.parametrize("grouped", [False, True])
def test_with_borders_that_roll_records_move_one_way(grouped: bool) -> None:
    drawn = np.random.default_rng(0)
    times = np.datetime64("2026-01-01", "us") + np.sort(drawn.integers(0, 200 * 86400, 400)).astype("timedelta64[s]")
    groups = drawn.integers(0, 150, 400)
    firsts = np.array([times[groups == group].min() for group in groups]) if grouped else None
    order = {"test": 0, "validation": 1, "train": 2}
    before = dict.fromkeys(range(400), -1)
    for count in range(100, 401, 10):
        borders = borders_of(ROLLING, times[count - 1].item())
        parts = parts_in_time(times[:count], borders, None if firsts is None else firsts[:count])
        for record, part in enumerate(parts.tolist()):
            assert part == NO_PART if order.get(part, -1) < 0 else order[part] >= before[record]
            before[record] = max(before[record], order.get(part, -1))
        if grouped:
            sides = {(group, part) for group, part in zip(groups[:count], parts.tolist(), strict=True) if part}
            assert len(sides) == len({group for group, _ in sides})
        newest = {part: times[:count][parts == part] for part in order}
        assert newest["train"].max() < newest["validation"].min(initial=np.datetime64("2100-01-01"))
        assert newest["train"].max() < newest["test"].min()
    assert len(set(before.values())) >= 3


def test_records_depend_on_each_other_by_group_or_by_block_of_time() -> None:
    assert clusters_of(None, None) is None
    assert numbers(clusters_of(["b", "a", "b"], None)) == [1, 0, 1]
    days = np.datetime64("2026-01-01", "us") + np.arange(0, 30 * 24, 6).astype("timedelta64[h]")
    assert len(set(numbers(clusters_of(None, days)))) == 30
    weeks = np.datetime64("2026-01-01", "us") + np.arange(0, 30 * 7).astype("timedelta64[D]")
    assert len(set(numbers(clusters_of(None, weeks)))) in (30, 31)


def numbers(clusters: NDArray[np.intp] | None) -> list[int]:
    assert clusters is not None
    return list(clusters.tolist())


KEYS = [f"k{number:03d}" for number in range(300)]
GROUPS = [f"c{number % 40}" for number in range(300)]
CLASSES = [int(number % 5 == 0) for number in range(300)]


def test_folds_have_the_shares_of_the_classes() -> None:
    folds = folds_of(KEYS, Split(), 5, 0, classes=CLASSES)
    assert sorted(position for _, judged in folds for position in judged.tolist()) == list(range(300))
    for fitted, judged in folds:
        assert not set(fitted) & set(judged)
        assert sum(CLASSES[position] for position in judged) == 12


def test_folds_do_not_follow_from_the_order_of_the_records() -> None:
    shuffled = np.random.default_rng(1).permutation(300)
    plain = folds_of(KEYS, Split(), 3, 0, classes=CLASSES)
    other = folds_of([KEYS[n] for n in shuffled], Split(), 3, 0, classes=[CLASSES[n] for n in shuffled])
    for (_, judged), (_, also) in zip(plain, other, strict=True):
        assert {KEYS[n] for n in judged} == {KEYS[shuffled[n]] for n in also}


@pytest.mark.parametrize("classes", [CLASSES, None])
def test_folds_keep_groups_whole(classes: list[int] | None) -> None:
    folds = folds_of(KEYS, Split(by="customer"), 4, 0, groups=GROUPS, classes=classes)
    assert len(folds) == 4
    for fitted, judged in folds:
        assert len(judged) > 0
        assert not {GROUPS[n] for n in fitted} & {GROUPS[n] for n in judged}


@pytest.mark.parametrize("groups", [None, GROUPS])
def test_folds_go_forward_in_time(groups: list[str] | None) -> None:
    times = np.datetime64("2026-01-01", "us") + (np.arange(300) // 3).astype("timedelta64[D]")
    groups = groups and [f"{group}-{number // 100}" for number, group in enumerate(groups)]
    folds = folds_of(KEYS, ROLLING, 4, 0, groups=groups, times=times)
    assert len(folds) >= 3
    for fitted, judged in folds:
        assert times[fitted].max() < times[judged].min()
        assert groups is None or not {groups[n] for n in fitted} & {groups[n] for n in judged}


def test_each_fold_has_its_share_of_each_class() -> None:
    classes = np.repeat([0, 1, 2], [100, 52, 2])
    folds = spread_evenly(classes, 5, seed=1)
    counts = np.array([[np.sum((classes == each) & (folds == fold)) for fold in range(5)] for each in range(3)])
    assert np.all(np.ptp(counts, axis=1) <= 1)
    # Two records of a class are in two folds: whichever is held out, one is left to learn from.
    assert counts[2].max() == 1
    assert np.array_equal(folds, spread_evenly(classes, 5, seed=1))
    assert not np.array_equal(folds, spread_evenly(classes, 5, seed=2))

"""The split: which part a record is in follows from its key and the seed, for ever."""

import hashlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.split import parts_of
from modelyard.usecase import Split


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

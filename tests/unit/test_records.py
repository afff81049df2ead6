"""Records are checked against their contract, each for itself."""

import io

import pyarrow as pa
import pytest

from modelyard.contract import Feature, FeatureType, Limits
from modelyard.records import Records
from modelyard.sources import csv_file
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import Content
from modelyard.sources.records import content_keys, read_records
from modelyard.use_case import UseCase
from tests.shops import FEATURES, HEADER, csv_of, rows, shops

GOOD = "a,1,2,0,bakery,good"


def read(text: str, use_case: UseCase | None = None) -> Records:
    use_case = use_case or shops()
    some = list(read_records(CsvFile(Content("shops.csv", io.BytesIO(text.encode())), use_case), use_case))
    return Records(
        accepted=pa.concat_tables([each.accepted for each in some]),
        rejected=[rejection for each in some for rejection in each.rejected],
    )


def test_good_records_are_accepted_with_their_values() -> None:
    records = read(csv_of([GOOD, "b,2.5,,yes,,bad", "c,3,4.0,,book shop,good"]))
    assert records.rejected == []
    assert records.read == 3
    assert records.accepted.to_pydict() == {
        "record_key": ["a", "b", "c"],
        "line": [2, 3, 4],
        "floor_area": [1.0, 2.5, 3.0],
        "staff": [2, None, 4],
        "open_sunday": [False, True, None],
        "kind": ["bakery", None, "book shop"],
        "verdict": ["good", "bad", "good"],
    }


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        ("b,abc,2,0,bakery,good", "Floor Area", "'abc' is not a number"),
        ("b,-nan,2,0,bakery,good", "Floor Area", "'-nan' is not a number"),
        ("b,inf,2,0,bakery,good", "Floor Area", "'inf' is not a number"),
        ("b,,2,0,bakery,good", "Floor Area", "is missing"),
        ("b,0.5,2,0,bakery,good", "Floor Area", "'0.5' is outside of what is valid: 1 to 5000"),
        ("b,5001,2,0,bakery,good", "Floor Area", "'5001' is outside of what is valid: 1 to 5000"),
        ("b,1,2.5,0,bakery,good", "staff", "'2.5' is not a whole number (of up to 15 digits)"),
        ("b,1,-1,0,bakery,good", "staff", "'-1' is outside of what is valid: at least 0"),
        ("b,1,2,maybe,bakery,good", "open sunday", "'maybe' is neither true nor false (1 nor 0)"),
        ("b,1,2,0,pub,good", "kind", "'pub' is none of bakery, book shop"),
        ("b,1,2,0,Bakery,good", "kind", "'Bakery' is none of bakery, book shop"),
        ("b,1,2,0,bakery,", "verdict", "is missing"),
        ("b,1,2,0,bakery,ugly", "verdict", "'ugly' is none of the classes good, bad"),
        (",1,2,0,bakery,good", "shop", "is missing"),
        ("k" * 2001 + ",1,2,0,bakery,good", "shop", f"'{'k' * 60}…' is longer than a key may be (2000 bytes)"),
        ("b,1", "", "has 2 cells where the header has 6"),
        ("b,abc,2,0,bakery,ugly", "Floor Area", "'abc' is not a number"),
        ("b,1,-1,0,bakery,ugly", "staff", "'-1' is outside of what is valid: at least 0"),
    ],
)
def test_a_bad_record_is_rejected_for_its_first_bad_column(line: str, column: str, reason: str) -> None:
    records = read(csv_of([GOOD, line, "c,3,4,1,,good"]))
    assert records.accepted["record_key"].to_pylist() == ["a", "c"]
    (rejection,) = records.rejected
    assert (rejection.line, rejection.column, rejection.reason) == (3, column, reason)
    assert rejection.record == line
    assert records.read == 3


@pytest.mark.parametrize("number", ["1e39", "-1e39", "1e999"])
def test_a_number_that_a_model_cannot_hold_is_rejected(number: str) -> None:
    unlimited = (Feature(name="floor_area", type=FeatureType.NUMBER), *FEATURES[1:])
    (rejection,) = read(csv_of([GOOD, f"b,{number},2,0,bakery,good"]), shops(features=unlimited)).rejected
    assert rejection.reason == f"'{number}' is too large for a number of 32 bits"


def test_a_category_without_categories_takes_any_text_but_may_have_to_be_given() -> None:
    kind = Feature(name="kind", type=FeatureType.CATEGORY)
    records = read(csv_of(["a,1,2,0,pub,good", "b,1,2,0,,good"]), shops(features=(*FEATURES[:3], kind)))
    assert records.accepted["kind"].to_pylist() == ["pub"]
    assert [(each.line, each.column, each.reason) for each in records.rejected] == [(3, "kind", "is missing")]


def test_the_target_of_a_regression_is_a_number() -> None:
    records = read(csv_of(["a,1,2,0,,1.5", "b,1,2,0,,x", "c,1,2,0,,", "d,1,2,0,,1e999"]), shops(classes=()))
    assert records.accepted["verdict"].to_pylist() == [1.5]
    reasons = ["'x' is not a number", "is missing", "'1e999' is too large"]
    assert [each.reason for each in records.rejected] == reasons


def test_whole_numbers_can_be_classes() -> None:
    records = read(csv_of(["a,1,2,0,,1", "b,1,2,0,,0.0", "c,1,2,0,,2"]), shops(classes=(0, 1)))
    assert records.accepted["verdict"].to_pylist() == [1, 0]
    assert [each.reason for each in records.rejected] == ["'2' is none of the classes 0, 1"]


def test_every_bad_record_is_found_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 500)
    lines = rows(500)
    for bad in (0, 17, 18, 250, 499):
        lines[bad] = lines[bad].replace(",good", ",ugly").replace(",bad", ",ugly")
    records = read(csv_of(lines))
    assert [rejection.line for rejection in records.rejected] == [2, 19, 20, 252, 501]
    assert len(records.accepted) == 495


def test_all_records_can_be_bad() -> None:
    records = read(csv_of(["x,0,,,,"] * 100))
    assert len(records.accepted) == 0
    assert len(records.rejected) == 100


def test_without_a_key_equal_values_have_equal_keys() -> None:
    header = HEADER.removeprefix("shop,")
    lines = ["1,2,0,bakery,good", "1.0,2.0,no,bakery,good", "1,2,0,bakery,bad", "1,,0,bakery,good", "-0,2,0,,good"]
    limitless = (FEATURES[0].model_copy(update={"valid": Limits()}), *FEATURES[1:])
    keys = read(csv_of([*lines, "0,2,0,,good"], header), shops(key=None, features=limitless)).accepted["record_key"]
    first, same, other_target, other_staff, minus_zero, zero = keys.to_pylist()
    assert first == same
    assert minus_zero == zero
    assert len({first, other_target, other_staff, zero}) == 4


def test_keys_made_from_values_are_the_same_for_ever() -> None:
    values = {
        "area": pa.array([1.5, None]),
        "staff": pa.array([3, None]),
        "open": pa.array([True, False]),
        "kind": pa.array(["bäckerei", "x"]),
    }
    expected = ["f476d286", "e3491300"]
    assert [key[:8] for key in content_keys(values).to_pylist()] == expected
    gained = values | {"later": pa.array([None, None], pa.float64())}
    assert content_keys(gained) == content_keys(values)

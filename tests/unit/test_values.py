"""What cells are read as."""

from collections.abc import Callable
from math import inf

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.contract import Feature, FeatureType, Target
from modelyard.sources.values import Values, booleans, integers, numbers, reading_of, times


def cells(*texts: str | None) -> pa.StringArray:
    return pa.array([text or None for text in texts], pa.string())


def read(values: Values) -> tuple[list[object], list[int]]:
    return values.values.to_pylist(), values.unreadable.tolist()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1.0),
        ("-2.5", -2.5),
        ("+5", 5.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("1E-3", 0.001),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1e999", inf),
    ],
)
def test_numbers(text: str, number: float) -> None:
    assert read(numbers(cells(text, ""))) == ([number, None], [])
    assert read(numbers(cells(text, " 1"))) == ([number, 1.0], [])


@pytest.mark.parametrize("text", ["abc", "-nan", "inf", "0x1F", "1_000", "1,5", "1 000", "٣", "--1", "1e", "$5"])
def test_no_numbers(text: str) -> None:
    assert read(numbers(cells("1", text, "2"))) == ([1.0, None, 2.0], [1])
    assert read(integers(cells("1", text, "2"))) == ([1, None, 2], [1])


@pytest.mark.parametrize(
    "text", ["", "NA", "N/A", "NULL", "null", "  ", " NA ", "NaN", "nan", "None", "#N/A", "?", "-"]
)
def test_missing_numbers_and_booleans(text: str) -> None:
    assert read(numbers(cells("1", text))) == ([1.0, None], [])
    assert read(integers(cells("1", text))) == ([1, None], [])
    assert read(booleans(cells("1", text))) == ([True, None], [])


@pytest.mark.parametrize(("text", "number"), [("42", 42), ("42.0", 42), ("-7", -7), ("1e3", 1000), (" 5", 5)])
def test_integers(text: str, number: int) -> None:
    assert read(integers(cells(text, "", "0"))) == ([number, None, 0], [])


@pytest.mark.parametrize(
    "text", ["2.5", "inf", "1e300", "1000000000000000", "-9223372036854775808", "99999999999999999999"]
)
@pytest.mark.parametrize("beside", ["1", "1.0"])
def test_no_integers(text: str, beside: str) -> None:
    assert read(integers(cells(beside, text))) == ([1, None], [1])


@pytest.mark.parametrize("text", ["1", "1.0", "true", "True", "TRUE", "t", "yes", "Y", " true "])
def test_true(text: str) -> None:
    assert read(booleans(cells(text, "no"))) == ([True, False], [])


@pytest.mark.parametrize("text", ["0", "0.0", "false", "False", "f", "NO", "n"])
def test_false(text: str) -> None:
    assert read(booleans(cells(text, "yes"))) == ([False, True], [])


@pytest.mark.parametrize("text", ["2", "maybe", "-1", "truth"])
def test_no_booleans(text: str) -> None:
    assert read(booleans(cells("1", text, ""))) == ([True, None, None], [1])


@pytest.mark.parametrize("read_all", [numbers, integers, booleans])
def test_nothing_is_nothing(read_all: Callable[[pa.StringArray], Values]) -> None:
    assert read(read_all(cells())) == ([], [])
    assert read(read_all(cells("", ""))) == ([None, None], [])


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))))
def test_numbers_come_back_as_they_were_written(written: list[float | None]) -> None:
    texts = [None if number is None else repr(number) for number in written]
    assert read(numbers(cells(*texts))) == (written, [])


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(1 - 10**15, 10**15 - 1))), st.booleans())
def test_integers_come_back_as_they_were_written(written: list[int | None], with_decimals: bool) -> None:
    ending = ".0" if with_decimals else ""
    texts = [None if number is None else f"{number}{ending}" for number in written]
    assert read(integers(cells(*texts))) == (written, [])


@settings(deadline=None)
@given(st.lists(st.text(max_size=6)))
def test_any_text_is_a_value_or_missing_or_unreadable(texts: list[str]) -> None:
    for read_all in (numbers, integers, booleans):
        values, unreadable = read(read_all(cells(*texts)))
        assert len(values) == len(texts)
        assert all(values[position] is None and texts[position] for position in unreadable)


def test_a_target_is_read_as_its_labels_are() -> None:
    labels = cells("1", "0")
    assert read(reading_of(Target(name="t", classes=(0, 1))).read(labels)) == ([1, 0], [])
    assert read(reading_of(Target(name="t", classes=("0", "1"))).read(labels)) == (["1", "0"], [])
    assert read(reading_of(Target(name="t")).read(labels)) == ([1.0, 0.0], [])


def test_a_category_is_text_whatever_it_looks_like() -> None:
    category = Feature(name="c", type=FeatureType.CATEGORY)
    assert read(reading_of(category).read(cells("NA", " x y ", "", "1", "  "))) == (["NA", "x y", None, "1", None], [])


@pytest.mark.parametrize("beyond", ["0001-01-01T00:00+02:00", "9999-12-31T23:00-05:00"])
def test_times_of_all_zones_are_in_utc_and_one_that_is_none_there_is_no_time(beyond: str) -> None:
    found = times(cells("2026-11-20", "2026-11-20T10:30+02:00", beyond, ""))
    assert [str(value) for value in found.values] == ["2026-11-20 00:00:00", "2026-11-20 08:30:00", "None", "None"]
    assert found.unreadable.tolist() == [2]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1,5", 1.5),
        ("-0,25", -0.25),
        (",5", 0.5),
        ("12", 12.0),
        ("1.234,5", 1234.5),
        ("1.234.567", 1_234_567.0),
        ("1,5e3", 1500.0),
        (" 2,5 ", 2.5),
        ("?", None),
    ],
)
def test_numbers_with_decimal_commas(text: str, number: float | None) -> None:
    price = reading_of(Feature(name="p", type=FeatureType.NUMBER), decimal=",")
    assert read(price.read(cells(text, "", "1"))) == ([number, None, 1.0], [])


@pytest.mark.parametrize("text", ["1.5", "0.123", "1,234.5", "1.23,4", "12.34.56", "01.02.2020", "1,2,3", ",", "."])
def test_no_numbers_with_decimal_commas(text: str) -> None:
    for kind in (FeatureType.NUMBER, FeatureType.INTEGER):
        reading = reading_of(Feature(name="p", type=kind), decimal=",")
        assert read(reading.read(cells("1", text))) == ([1, None], [1])
        assert reading.complaint.endswith("; decimals follow a comma")


def test_a_decimal_comma_changes_nothing_in_texts_and_truth_values() -> None:
    town = reading_of(Feature(name="t", type=FeatureType.CATEGORY), decimal=",")
    assert read(town.read(cells("St. Anton", "1,5"))) == (["St. Anton", "1,5"], [])
    open_ = reading_of(Feature(name="o", type=FeatureType.BOOLEAN), decimal=",")
    assert read(open_.read(cells("1.0", "no"))) == ([True, False], [])

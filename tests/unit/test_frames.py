"""Frames hold what a contract says, and are checked against it."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pandera.errors import SchemaErrors

from modelyard.contract import Feature, FeatureType
from modelyard.errors import ContractChanged
from modelyard.frames import Violation, frame_of, schema_of, validated, violations
from tests.shops import FEATURES, shops

CONTRACT = shops().contract()
SCHEMA = schema_of(CONTRACT)


def table(**columns: list[object]) -> pa.Table:
    values = {
        "record_key": pa.array(["a", "b", "c"]),
        "floor_area": pa.array([1.5, 2.0, 5000.0]),
        "staff": pa.array([1, None, 3]),
        "open_sunday": pa.array([True, None, False]),
        "kind": pa.array(["bakery", None, "book shop"]),
        "verdict": pa.array(["good", "bad", "good"]),
    }
    return pa.table({**values, **{name: pa.array(cells, values[name].type) for name, cells in columns.items()}})


def test_a_frame_has_the_dtypes_that_models_expect() -> None:
    frame = frame_of(table(), CONTRACT)
    assert frame.dtypes.astype(str).to_dict() == {
        "floor_area": "float32",
        "staff": "float32",
        "open_sunday": "float32",
        "kind": "str",
        "verdict": "str",
    }
    assert frame.index.tolist() == ["a", "b", "c"]
    assert frame.index.name == "record_key"
    assert frame["open_sunday"].tolist()[::2] == [1.0, 0.0]
    assert np.isnan(frame["staff"].iloc[1])
    assert frame["kind"].tolist() == ["bakery", "", "book shop"]
    assert violations(frame, SCHEMA) == []


def test_labels_and_regression_targets_keep_their_type() -> None:
    whole = table().set_column(5, "verdict", pa.array([0, 1, 0]))
    assert frame_of(whole, shops(classes=(0, 1)).contract())["verdict"].dtype == np.int64
    real = table().set_column(5, "verdict", pa.array([0.1, 1, 0]))
    assert frame_of(real, shops(classes=()).contract())["verdict"].dtype == np.float64


def test_an_empty_table_is_an_empty_frame_of_the_same_dtypes() -> None:
    empty = frame_of(table().slice(0, 0), CONTRACT)
    assert empty.dtypes.equals(frame_of(table(), CONTRACT).dtypes)
    assert violations(empty, SCHEMA) == []


@pytest.mark.parametrize(
    ("column", "cells", "reason"),
    [
        ("floor_area", [1.5, 0.5, 2], "is outside of what is valid: 1 to 5000"),
        ("floor_area", [1.5, 5000.5, 2], "is outside of what is valid: 1 to 5000"),
        ("floor_area", [1.5, None, 2], "is missing"),
        ("staff", [1, -1, 2], "is outside of what is valid: at least 0"),
        ("kind", ["bakery", "pub", None], "is none of bakery, book shop"),
        ("verdict", ["good", "ugly", "bad"], "is none of the classes good, bad"),
        ("verdict", ["good", None, "bad"], "is missing"),
    ],
)
def test_what_the_contract_does_not_allow_is_found(column: str, cells: list[object], reason: str) -> None:
    frame = frame_of(table(**{column: cells}), CONTRACT)
    assert violations(frame, SCHEMA) == [Violation("b", column, reason)]
    with pytest.raises(ContractChanged, match=f"here: 1 records .*first record 'b', {column}: .* {reason}"):
        validated(frame, SCHEMA, "here")


def test_all_violations_are_found_and_records_counted_once() -> None:
    frame = frame_of(table(floor_area=[0, 0, 2], staff=[-1, 0, None]), CONTRACT)
    assert [(row, column) for row, column, _ in violations(frame, SCHEMA)] == [
        ("a", "floor_area"),
        ("b", "floor_area"),
        ("a", "staff"),
    ]
    with pytest.raises(ContractChanged, match="here: 2 records"):
        validated(frame, SCHEMA, "here")


def test_a_number_beyond_32_bits_is_found_without_limits_too() -> None:
    contract = shops(features=(Feature(name="floor_area", type=FeatureType.NUMBER), *FEATURES[1:])).contract()
    frame = frame_of(table(floor_area=[1e39, 1, -1e39]), contract)
    assert [row for row, *_ in violations(frame, schema_of(contract))] == ["a", "c"]


def test_a_limit_that_no_float32_is_equal_to_is_still_allowed() -> None:
    tenth = FEATURES[0].model_copy(update={"valid": FEATURES[0].valid.model_copy(update={"maximum": 1.1})})
    contract = shops(features=(tenth, *FEATURES[1:])).contract()
    assert violations(frame_of(table(floor_area=[1.1, 1, 1.1]), contract), schema_of(contract)) == []


@pytest.mark.parametrize(
    "frame",
    [
        frame_of(table(), CONTRACT).drop(columns="staff"),
        frame_of(table(), CONTRACT).assign(more=1),
        frame_of(table(), CONTRACT).astype({"staff": "float64"}),
        frame_of(table(), CONTRACT)[["staff", "floor_area", "open_sunday", "kind", "verdict"]],
    ],
)
def test_a_frame_of_another_shape_is_an_error(frame: pd.DataFrame) -> None:
    with pytest.raises(SchemaErrors):
        violations(frame, SCHEMA)

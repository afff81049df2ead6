"""Frames that hold what a contract says: features as a model sees them, and the target.

A frame has a column for each feature and one for the target. Numbers, integers and booleans are float32, a missing one
NaN; categories are text, a missing one empty. The target is its class's label, or float64 in a regression. What a value
may be is checked here alone, with a pandera schema that is made from the contract.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pandera.pandas as pandera
import pyarrow as pa
import pyarrow.compute as pc
from pandera.errors import SchemaErrors

from modelyard.contract import Contract, Feature, Limits, Target
from modelyard.errors import ContractChanged

MISSING = "is missing"


class Violation(NamedTuple):
    """A value that the contract does not allow.

    Attributes:
        row: The label of its row in the frame's index.
        column: Its column.
        reason: What is wrong with it, as the rest of a sentence.
    """

    row: Any
    column: str
    reason: str


def frame_of(values: pa.Table, contract: Contract) -> pd.DataFrame:
    """A table with a column of values for each feature and the target, nulls for missing ones, as a frame.

    The frame's index is the column `record_key` when there is one, else the rows' positions.
    """
    columns = {f.name: _feature_column(f, values.column(f.name)) for f in contract.features}
    columns[contract.target.name] = values.column(contract.target.name).to_pandas().array
    keys = values.column("record_key").to_pandas() if "record_key" in values.column_names else None
    return pd.DataFrame(columns, index=None if keys is None else pd.Index(keys, name="record_key"))


def schema_of(contract: Contract) -> pandera.DataFrameSchema:
    """What a frame of that contract must look like."""
    columns = {f.name: _feature_schema(f) for f in contract.features}
    columns[contract.target.name] = _target_schema(contract.target)
    return pandera.DataFrameSchema(columns, strict=True, ordered=True)


def violations(frame: pd.DataFrame, schema: pandera.DataFrameSchema) -> list[Violation]:
    """All values of a frame that its schema does not allow.

    Raises:
        SchemaErrors: The frame lacks a column or has one of another type.
    """
    try:
        # In place, because nothing is changed: a copy of the frame would be checked otherwise.
        schema.validate(frame, lazy=True, inplace=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
        if cases["index"].isna().any():
            raise
        reasons = cases["check"].replace("not_nullable", MISSING)
        return [Violation(*case) for case in zip(cases["index"], cases["column"], reasons, strict=True)]
    return []


def validated(frame: pd.DataFrame, schema: pandera.DataFrameSchema, where: str) -> pd.DataFrame:
    """The frame, when all its values are allowed.

    Args:
        frame: Its index is the records' keys.
        schema: What it must look like.
        where: What a message calls the place that the frame comes from.

    Raises:
        ContractChanged: Some are not: they were, under an earlier contract.
    """
    found = violations(frame, schema)
    if not found:
        return frame
    first = found[0]
    value = frame.loc[first.row, first.column]
    raise ContractChanged(
        f"{where}: {len({violation.row for violation in found})} records do not fit the contract as it is now, first "
        f"record {first.row!r}, {first.column}: {value!s} {first.reason}; allow it again, or remove these records"
    )


def _feature_column(feature: Feature, values: pa.ChunkedArray) -> object:
    if not feature.is_numeric:
        return pc.fill_null(values, "").to_pandas().array
    if pa.types.is_boolean(values.type):
        values = pc.cast(values, pa.int8())
    # A number beyond float32 becomes infinite, which no schema allows.
    with np.errstate(over="ignore"):
        return values.to_numpy().astype(np.float32)


def _feature_schema(feature: Feature) -> pandera.Column:
    if feature.is_numeric:
        return pandera.Column("float32", _number_checks(feature.valid), nullable=feature.nullable)
    checks = [] if feature.nullable else [pandera.Check.ne("", error=MISSING)]
    if feature.categories:
        known = [*feature.categories, ""]
        checks.append(pandera.Check.isin(known, error=f"is none of {', '.join(feature.categories)}"))
    return pandera.Column("str", checks)


def _number_checks(valid: Limits) -> list[pandera.Check]:
    outside = f"is outside of what is valid: {valid}"
    if valid.minimum is not None and valid.maximum is not None:
        return [pandera.Check.in_range(valid.minimum, valid.maximum, error=outside)]
    checks = [pandera.Check(_is_finite, error="is too large for a number of 32 bits")]
    if valid.minimum is not None:
        checks.append(pandera.Check.ge(valid.minimum, error=outside))
    if valid.maximum is not None:
        checks.append(pandera.Check.le(valid.maximum, error=outside))
    return checks


def _is_finite(column: "pd.Series[float]") -> "pd.Series[bool]":
    return column.abs() < np.inf


def _target_schema(target: Target) -> pandera.Column:
    if not target.classes:
        return pandera.Column("float64", pandera.Check(_is_finite, error="is too large"))
    classes = ", ".join(map(str, target.classes))
    return pandera.Column(None, pandera.Check.isin(list(target.classes), error=f"is none of the classes {classes}"))

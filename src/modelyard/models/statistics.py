"""What the training part held of each feature: the measure for warnings and drift."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Contract, Feature, Seen, Value
from modelyard.contract import FeatureType as Type

DECILES = np.arange(1, 10) / 10


def describe(contract: Contract, train: pd.DataFrame) -> Contract:
    """The contract with the statistics of the training part and an example record from it.

    Args:
        contract: Declares the features.
        train: The training part, a column for each feature.
    """
    seen = {feature.name: _seen(feature, train[feature.name]) for feature in contract.features}
    return contract.with_seen(seen, record_of(contract, train, _first_complete(contract, train)))


def record_of(contract: Contract, frame: pd.DataFrame, position: int) -> dict[str, Value]:
    """One row of a frame as a record in plain Python values, missing ones None."""
    return {f.name: _plain(f, frame[f.name].iloc[position]) for f in contract.features}


def _first_complete(contract: Contract, frame: pd.DataFrame) -> int:
    columns = frame[contract.names]
    complete = (columns.notna() & (columns != "")).all(axis=1).to_numpy()
    return int(np.argmax(complete))


def _plain(feature: Feature, value: object) -> Value:
    if not feature.is_numeric:
        return str(value) or None
    # The shortest decimal that is this float32.
    number = float(str(np.float32(value)))  # type: ignore[arg-type]
    if np.isnan(number):
        return None
    if feature.type is Type.BOOLEAN:
        return bool(number)
    return int(number) if feature.type is Type.INTEGER else number


def _seen(feature: Feature, column: pd.Series) -> Seen:
    if not feature.is_numeric:
        given = column[column != ""]
        shares = given.value_counts(normalize=True).to_dict()
        return Seen(count=len(column), missing=len(column) - len(given), shares={str(k): v for k, v in shares.items()})
    values = column.dropna().to_numpy(dtype=np.float64)
    if not len(values):
        return Seen(count=len(column), missing=len(column))
    return numbers_seen(values, len(column))


def numbers_seen(values: NDArray[np.float64], count: int) -> Seen:
    """The statistics of numbers; there must be some.

    Args:
        values: The numbers, without those that are missing.
        count: How many there are with those that are missing.
    """
    return Seen(
        count=count,
        missing=count - len(values),
        minimum=values.min(),
        maximum=values.max(),
        mean=values.mean(),
        deciles=tuple(np.quantile(values, DECILES).tolist()),
    )

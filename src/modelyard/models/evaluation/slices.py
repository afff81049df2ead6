"""The values by which the test part is sliced, as people read them."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Contract, FeatureType

MISSING = "(missing)"


def slice_values(contract: Contract, name: str, test: pd.DataFrame) -> NDArray[Any]:
    """What each record of the test part has in a column, as text.

    Args:
        contract: Says the column's type.
        name: A feature, a category or a boolean.
        test: The test part.
    """
    column, types = test[name], {feature.name: feature.type for feature in contract.features}
    if types[name] is FeatureType.BOOLEAN:
        given = np.where(column.to_numpy(np.float64) > 0, "true", "false")
        return np.where(column.isna().to_numpy(), MISSING, given)
    texts = column.astype(str).to_numpy(dtype=np.str_)
    return np.where(texts == "", MISSING, texts)

"""Which records of the training part a model is fitted on. The other parts are never sampled."""

from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Contract


def bootstrap(train: pd.DataFrame, seed: int, day: date) -> pd.DataFrame:
    """As many records as there are, drawn with replacement; the same ones for the same seed and day."""
    generator = np.random.default_rng([seed, day.toordinal()])
    return train.iloc[generator.integers(len(train), size=len(train))]


def undersample(train: pd.DataFrame, contract: Contract, positive_share: float, seed: int) -> pd.DataFrame:
    """Leaves out records of the negative class until the positive one has its share; their order stays.

    Args:
        train: A training part. If its positive share is as high already, it is returned as it is.
        contract: Says the target and its two classes.
        positive_share: The share of the positive class.
        seed: Of the choice.
    """
    positive = (train[contract.target.name] == contract.target.classes[1]).to_numpy()
    negatives = np.flatnonzero(~positive)
    wanted = round(np.count_nonzero(positive) * (1 - positive_share) / positive_share)
    if wanted >= len(negatives):
        return train
    chosen = _chosen(negatives, wanted, seed)
    return train.iloc[np.sort(np.concatenate([np.flatnonzero(positive), chosen]))]


def _chosen(positions: NDArray[np.intp], wanted: int, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(seed).choice(positions, size=wanted, replace=False)

"""A model that looks at no feature: what every other one must be better than."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier, DummyRegressor

from modelyard.contract import Contract
from modelyard.models.tabular.pipeline import fitted_scores
from modelyard.objective import MEDIAN, QUANTILE_METRICS, Objective


def make_dummy(objective: Objective) -> BaseEstimator:
    """An unfitted model that looks at no feature: what any real one must beat. By the metric, none such does better."""
    if objective.kind.is_classification:
        return DummyClassifier(strategy="prior")
    if objective.metric not in QUANTILE_METRICS:
        return DummyRegressor(strategy="mean")
    return DummyRegressor(strategy="quantile", quantile=objective.quantile or MEDIAN)


def dummy_scores(
    contract: Contract, train: pd.DataFrame, test: pd.DataFrame, objective: Objective
) -> NDArray[np.floating[Any]]:
    """What a model that looks at no feature says of the test part."""
    dummy = make_dummy(objective)
    dummy.fit(train[contract.names], train[contract.target.name])
    return fitted_scores(dummy, contract, test)

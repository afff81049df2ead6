"""How a model of a table is made: imputing, encoding and the estimator in one pipeline that is fitted as a whole."""

import importlib
import inspect
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from modelyard.contract import Calibration, Contract, Label, Seen
from modelyard.errors import BadInput, StepFailed
from modelyard.models.calibration import Calibrated
from modelyard.models.derive import derived_features
from modelyard.objective import MEDIAN, QUANTILE_METRICS, Objective
from modelyard.use_case import Candidate

FINAL_STEP = "model"
# A model gets so many inputs of one category at most: each is a column of the whole training part.
MOST_CATEGORIES = 64
# What scikit-learn's estimators call the number of trees or iterations that they have taken.
ITERATIONS = ("n_estimators_", "n_iter_")


def make_pipeline(candidate: Candidate, contract: Contract, seed: int) -> Pipeline:
    """An unfitted model of a candidate.

    Missing numbers become the training part's median or mean, then features are derived; a missing category is a
    category of its own. Of a category with very many values, the commonest have an input each; the others are one.

    Args:
        candidate: Which estimator, with which parameters.
        contract: The inputs.
        seed: For estimators that draw random numbers.

    Raises:
        BadInput: The estimator does not exist or does not take the parameters.
    """
    numeric = [feature.name for feature in contract.features if feature.is_numeric]
    categories = [feature.name for feature in contract.features if not feature.is_numeric]
    inputs: list[tuple[str, BaseEstimator, list[str]]] = []
    if numeric:
        inputs.append(("numbers", _numeric_steps(candidate, contract, numeric), numeric))
    if categories:
        inputs.append(("categories", _encoder(contract), categories))
    return Pipeline([("inputs", ColumnTransformer(inputs)), (FINAL_STEP, _estimator(candidate, seed))])


def with_calibration(pipeline: Pipeline, calibration: Calibration | None, classes: Sequence[Label]) -> Pipeline:
    """A fitted pipeline whose model's probabilities are calibrated; None leaves it as it is.

    Args:
        pipeline: A fitted pipeline that `make_pipeline` made.
        calibration: The formula.
        classes: In the order of its slopes and intercepts.
    """
    if calibration is None:
        return pipeline
    places = [list(classes).index(label) for label in pipeline.classes_.tolist()]
    slopes, intercepts = (
        [of_class[place] for place in places] for of_class in (calibration.slopes, calibration.intercepts)
    )
    *inputs, (name, model) = pipeline.steps
    return Pipeline([*inputs, (name, Calibrated(model, slopes, intercepts))])


def without_calibration(pipeline: Pipeline) -> Pipeline:
    """The same pipeline with the model's own probabilities."""
    *inputs, (name, model) = pipeline.steps
    return Pipeline([*inputs, (name, model.estimator)]) if isinstance(model, Calibrated) else pipeline


def fitted_scores(pipeline: Pipeline, contract: Contract, frame: pd.DataFrame) -> NDArray[np.floating[Any]]:
    """The fitted model's probabilities of shape (records, classes), or values of shape (records, 1).

    Raises:
        StepFailed: It was fitted without a record of some class.
    """
    if contract.kind.is_classification:
        return np.asarray(pipeline.predict_proba(frame[contract.names]))[:, class_columns(pipeline, contract)]
    return np.asarray(pipeline.predict(frame[contract.names])).reshape(-1, 1)


def class_columns(fitted: Pipeline, contract: Contract) -> list[int]:
    """The column of each of the contract's classes in a fitted model's probabilities, which it has in sorted order."""
    columns = {label: column for column, label in enumerate(fitted.classes_.tolist())}
    missing = [str(label) for label in contract.target.classes if label not in columns]
    if missing:
        raise StepFailed(f"{contract.use_case}: no record of class {', '.join(missing)} in the training part")
    return [columns[label] for label in contract.target.classes]


def make_dummy(objective: Objective) -> BaseEstimator:
    """An unfitted model that looks at no feature: what any real one must beat. By the metric, none such does better."""
    if objective.kind.is_classification:
        return DummyClassifier(strategy="prior")
    if objective.metric not in QUANTILE_METRICS:
        return DummyRegressor(strategy="mean")
    return DummyRegressor(strategy="quantile", quantile=objective.quantile or MEDIAN)


def _encoder(contract: Contract) -> OneHotEncoder:
    known = [_commonest(feature.seen) for feature in contract.features if not feature.is_numeric]
    # An explicit list, as the converter to ONNX knows nothing of the encoder's own ways to put values together.
    many = any(len(values) == MOST_CATEGORIES for values in known)
    return OneHotEncoder(categories=known if many else "auto", handle_unknown="ignore", sparse_output=False)


def _commonest(seen: Seen | None) -> list[str]:
    """The values of a category that the training part holds, sorted; of very many, the commonest."""
    if seen is None:
        return []
    shares = seen.shares | ({"": seen.missing / seen.count} if seen.missing else {})
    return sorted(sorted(shares, key=lambda value: (-shares[value], value))[:MOST_CATEGORIES])


def _numeric_steps(candidate: Candidate, contract: Contract, names: list[str]) -> Pipeline:
    derive = derived_features(contract, names)
    return Pipeline(
        [
            ("impute", SimpleImputer(strategy=candidate.impute, keep_empty_features=True)),
            *([("derive", derive)] if derive else []),
            *([("scale", StandardScaler())] if candidate.scale else []),
        ]
    )


def _estimator(candidate: Candidate, seed: int) -> BaseEstimator:
    estimator_class = _resolve(candidate)
    accepted = inspect.signature(estimator_class).parameters
    seeded = {"random_state": seed} if "random_state" in accepted else {}
    try:
        return cast(BaseEstimator, estimator_class(**seeded, **candidate.parameters))
    except TypeError as error:
        raise BadInput(f"candidate {candidate.name}: {candidate.estimator} cannot be made: {error}") from error


def _resolve(candidate: Candidate) -> Any:
    module_name, _, class_name = candidate.estimator.rpartition(".")
    try:
        return getattr(importlib.import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"candidate {candidate.name}: there is no estimator {candidate.estimator}") from error


def iterations(pipeline: Pipeline) -> dict[str, int]:
    """How many trees or iterations a model has taken, by scikit-learn's name: fewer than it might where it ended early.

    Args:
        pipeline: A fitted pipeline that `make_pipeline` made.
    """
    model = without_calibration(pipeline).named_steps[FINAL_STEP]
    found = {name: getattr(model, name, None) for name in ITERATIONS}
    return {name: int(np.max(count)) for name, count in found.items() if count is not None}

"""The model that serving is measured with: 100 trees on 11 features, fitted and compiled as `train` does."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder

from modelyard.contract import Contract, Feature, FeatureType, Limits, Seen, Target, TaskKind
from modelyard.models.onnx.compiled import CONTRACT_FILE, EXAMPLE_FILE, MODEL_FILE, Example
from modelyard.models.tabular.export import compile_pipeline
from modelyard.models.tabular.pipeline import fitted_scores

USE_CASE = "serve_benchmark"
ROWS = 5000
TREES = 100
SEED = 20261121
PURPOSES = ("car", "house", "school", "travel")
HOMES = ("own", "rent", "other")
EXAMPLES = 5


def _number(name: str, kind: FeatureType, low: float, high: float) -> Feature:
    seen = Seen(count=ROWS, missing=0, minimum=low, maximum=high)
    return Feature(name=name, type=kind, valid=Limits(minimum=low, maximum=high), nullable=True, seen=seen)


def _category(name: str, categories: tuple[str, ...]) -> Feature:
    shares = dict.fromkeys(categories, 1 / len(categories))
    return Feature(
        name=name, type=FeatureType.CATEGORY, categories=categories, seen=Seen(count=ROWS, missing=0, shares=shares)
    )


FEATURES = (
    _number("age", FeatureType.INTEGER, 18, 100),
    _number("income", FeatureType.NUMBER, 0, 200_000),
    _number("credit_score", FeatureType.INTEGER, 300, 850),
    _number("amount", FeatureType.NUMBER, 0, 100_000),
    _number("interest_rate", FeatureType.NUMBER, 0, 30),
    _number("years_employed", FeatureType.INTEGER, 0, 60),
    _number("years_of_history", FeatureType.INTEGER, 0, 60),
    _number("open_accounts", FeatureType.INTEGER, 0, 30),
    Feature(name="had_default", type=FeatureType.BOOLEAN, seen=Seen(count=ROWS, missing=0, minimum=0, maximum=1)),
    _category("purpose", PURPOSES),
    _category("home", HOMES),
)


def make_frame(rows: int, seed: int = SEED) -> pd.DataFrame:
    """Records of the benchmark's use case, with its target."""
    generator = np.random.default_rng(seed)
    columns: dict[str, Any] = {}
    for feature in FEATURES:
        low, high = feature.valid.minimum or 0, feature.valid.maximum or 1
        match feature.type:
            case FeatureType.CATEGORY:
                columns[feature.name] = generator.choice(feature.categories, rows)
            case FeatureType.NUMBER:
                columns[feature.name] = generator.uniform(low, high, rows).round(2)
            case _:
                columns[feature.name] = generator.integers(int(low), int(high), rows, endpoint=True)
    frame = pd.DataFrame(columns)
    risk = frame["amount"] / (frame["income"] + 1) - frame["credit_score"] / 500 + frame["had_default"]
    frame["defaults"] = (risk + generator.normal(0, 0.5, rows) > risk.median()).astype(int)
    frame["had_default"] = frame["had_default"].astype(bool)
    return frame


def make_record(frame: pd.DataFrame, row: int) -> dict[str, Any]:
    """A row of a frame as a request has it."""
    values = frame[[feature.name for feature in FEATURES]].iloc[row].to_dict()
    return {str(name): value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def contract_of(frame: pd.DataFrame) -> Contract:
    """What the model takes and gives."""
    return Contract(
        use_case=USE_CASE,
        kind=TaskKind.BINARY,
        features=FEATURES,
        target=Target(name="defaults", classes=(0, 1)),
        example=make_record(frame, 0),
    )


def fit_pipeline(frame: pd.DataFrame, trees: int = TREES) -> Pipeline:
    """A fitted forest; trees on raw numbers, as the use cases have them."""
    numbers = [feature.name for feature in FEATURES if feature.is_numeric]
    categories = [feature.name for feature in FEATURES if not feature.is_numeric]
    columns = ColumnTransformer(
        [("numbers", SimpleImputer(), numbers), ("categories", OneHotEncoder(handle_unknown="ignore"), categories)]
    )
    forest = RandomForestClassifier(n_estimators=trees, min_samples_leaf=5, random_state=SEED)
    pipeline = Pipeline([("columns", columns), ("model", forest)])
    return pipeline.fit(frame[numbers + categories], frame["defaults"])


def write_package(folder: Path, pipeline: Pipeline, frame: pd.DataFrame) -> None:
    """The three files that a model version is served from."""
    contract = contract_of(frame)
    examples = frame.head(EXAMPLES)
    scores = fitted_scores(pipeline, contract, examples)
    example = Example(
        records=tuple(make_record(frame, row) for row in range(EXAMPLES)),
        scores=tuple(tuple(float(score) for score in row) for row in scores),
    )
    folder.mkdir(parents=True)
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json(), encoding="utf-8")
    (folder / EXAMPLE_FILE).write_text(example.model_dump_json(), encoding="utf-8")
    (folder / MODEL_FILE).write_bytes(compile_pipeline(pipeline, contract))

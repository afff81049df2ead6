"""A use case and records that nobody has, for every kind of task that tables have."""

import numpy as np
import pandas as pd

from modelyard.contract import Feature, FeatureType, Label, Target, TaskKind
from modelyard.use_case import Candidate, UseCase

LINEAR = {
    TaskKind.BINARY: "sklearn.linear_model.LogisticRegression",
    TaskKind.MULTICLASS: "sklearn.linear_model.LogisticRegression",
    TaskKind.REGRESSION: "sklearn.linear_model.LinearRegression",
}
FOREST = {
    TaskKind.BINARY: "sklearn.ensemble.RandomForestClassifier",
    TaskKind.MULTICLASS: "sklearn.ensemble.RandomForestClassifier",
    TaskKind.REGRESSION: "sklearn.ensemble.RandomForestRegressor",
}
BOOSTING = {
    TaskKind.BINARY: "sklearn.ensemble.HistGradientBoostingClassifier",
    TaskKind.MULTICLASS: "sklearn.ensemble.HistGradientBoostingClassifier",
    TaskKind.REGRESSION: "sklearn.ensemble.HistGradientBoostingRegressor",
}
# In an order of their own: scikit-learn has its columns in alphabetical order.
CLASSES: dict[TaskKind, tuple[Label, ...]] = {
    TaskKind.BINARY: ("refused", "approved"),
    TaskKind.MULTICLASS: ("red", "blue", "green"),
    TaskKind.REGRESSION: (),
}


def use_case(kind: TaskKind) -> UseCase:
    return UseCase(
        name="made_up",
        title="Made up",
        kind=kind,
        features=(
            Feature(name="size", type=FeatureType.NUMBER, nullable=True),
            Feature(name="rooms", type=FeatureType.INTEGER),
            Feature(name="garden", type=FeatureType.BOOLEAN, nullable=True),
            Feature(name="city", type=FeatureType.CATEGORY, nullable=True),
        ),
        target=Target(name="answer", classes=CLASSES[kind]),
        source="made_up.csv",
        candidates=(
            Candidate(name="linear", estimator=LINEAR[kind], scale=True),
            Candidate(name="forest", estimator=FOREST[kind], parameters={"n_estimators": 10}),
            Candidate(name="boosting", estimator=BOOSTING[kind], parameters={"max_iter": 20}),
        ),
    )


def records(kind: TaskKind, rows: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": generator.normal(100, 30, rows).astype(np.float32),
            "rooms": generator.integers(1, 8, rows).astype(np.float32),
            "garden": generator.integers(0, 2, rows).astype(np.float32),
            "city": generator.choice(["Bonn", "Köln", "", "Ulm"], rows),
        }
    )
    signal = frame["size"] + 20 * frame["rooms"] + 40 * (frame["city"] == "Köln") + generator.normal(0, 20, rows)
    frame.loc[generator.random(rows) < 0.1, "size"] = np.nan
    classes = CLASSES[kind]
    frame["answer"] = signal if not classes else pd.qcut(signal, len(classes), labels=list(classes)).astype(object)
    return frame

"""Which species an iris is of, from four measures of its flower: Fisher's data set, as scikit-learn brings it."""

from modelyard.contract import Feature, FeatureType, Limits, Target, TaskKind
from modelyard.use_case import Candidate, RecordKey, Split, UseCase


def _measure(name: str, title: str, what: str) -> Feature:
    return Feature(
        name=name,
        type=FeatureType.NUMBER,
        title=title,
        unit="cm",
        help=what,
        aliases=(f"{name.replace('_', ' ')} (cm)",),
        # Longer than any iris; what was measured in millimetres is found.
        valid=Limits(minimum=0.05, maximum=15),
    )


USE_CASE = UseCase(
    name="iris",
    title="Iris species",
    description="Tells three species of iris apart by the size of their sepals and petals.",
    kind=TaskKind.MULTICLASS,
    key=RecordKey(name="id", aliases=("",)),
    features=(
        _measure("sepal_length", "Sepal length", "Length of an outer leaf of the flower."),
        _measure("sepal_width", "Sepal width", "Width of an outer leaf of the flower."),
        _measure("petal_length", "Petal length", "Length of an inner leaf of the flower."),
        _measure("petal_width", "Petal width", "Width of an inner leaf of the flower."),
    ),
    target=Target(
        name="species",
        title="Species",
        classes=("setosa", "versicolor", "virginica"),
        aliases=("target",),
        class_titles=("Iris setosa", "Iris versicolor", "Iris virginica"),
    ),
    source="sklearn://iris",
    # There are 150 records only. Of the first seeds, this one gives each part about as many of each species.
    split=Split(train=0.4, validation=0.2, test=0.4, seed=3),
    candidates=(
        Candidate(
            name="logistic_regression",
            estimator="sklearn.linear_model.LogisticRegression",
            parameters={"max_iter": 1000},
            scale=True,
        ),
        Candidate(
            name="random_forest",
            estimator="sklearn.ensemble.RandomForestClassifier",
            parameters={"n_estimators": 100, "min_samples_leaf": 2},
        ),
    ),
    bootstrap="daily",
    schedule="@daily",
)

"""Which models are worth a try, by the kind of task and the number of records."""

from modelyard.contract import TaskKind
from modelyard.use_case import Candidate

# From so many records on, forests take long and compile to files of hundreds of megabytes.
MANY_RECORDS = 20_000
FEW_RECORDS = 1_000
# Boosting fits a tree for each class in every round.
MANY_CLASSES = 10


def candidates(kind: TaskKind, records: int, classes: int) -> tuple[Candidate, ...]:
    """A simple model that is hard to beat on few records, and ensembles of trees."""
    makers = (_linear, _forest, _boosting) if records <= MANY_RECORDS else (_linear, _boosting)
    return tuple(make(kind, records, classes) for make in makers)


def _linear(kind: TaskKind, _records: int, _classes: int) -> Candidate:
    if kind is TaskKind.REGRESSION:
        return Candidate(name="ridge", estimator="sklearn.linear_model.Ridge", parameters={"alpha": 1.0}, scale=True)
    return Candidate(
        name="logistic_regression",
        estimator="sklearn.linear_model.LogisticRegression",
        parameters={"max_iter": 1000},
        scale=True,
    )


def _forest(kind: TaskKind, records: int, _classes: int) -> Candidate:
    suffix = "Regressor" if kind is TaskKind.REGRESSION else "Classifier"
    return Candidate(
        name="random_forest",
        estimator=f"sklearn.ensemble.RandomForest{suffix}",
        parameters={"n_estimators": 100, "min_samples_leaf": 3 if records < FEW_RECORDS else 5},
    )


def _boosting(kind: TaskKind, records: int, classes: int) -> Candidate:
    suffix = "Regressor" if kind is TaskKind.REGRESSION else "Classifier"
    rounds = 100 if records < FEW_RECORDS or classes > MANY_CLASSES else 200
    return Candidate(
        name="histogram_gradient_boosting",
        estimator=f"sklearn.ensemble.HistGradientBoosting{suffix}",
        parameters={"max_iter": rounds, "learning_rate": 0.05, "max_leaf_nodes": 15 if records < FEW_RECORDS else 31},
    )

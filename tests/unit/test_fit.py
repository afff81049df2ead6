"""Fitting and compiling, for every kind of task that tables have."""

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import Feature, FeatureType, Label, Target, TaskKind
from modelyard.errors import BadInput
from modelyard.models.compile import TOLERANCE, Agreement, compare_scores, fitted_scores
from modelyard.models.fit import Fitted, fit, pictures
from modelyard.models.metrics import best_f1_threshold, primary_metric
from modelyard.models.plots import IMPORTANCE_RECORDS, importance_plot
from modelyard.models.tabular import MOST_CATEGORIES
from modelyard.usecase import Candidate, UseCase

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


@pytest.fixture(params=[TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION])
def kind(request: pytest.FixtureRequest) -> TaskKind:
    found: TaskKind = request.param
    return found


def fitted(kind: TaskKind, candidate: str) -> Fitted:
    case = use_case(kind)
    train, validation, test = (records(kind, rows, seed) for seed, rows in enumerate((600, 200, 200)))
    return fit(case, case.candidate(candidate), train, validation, test)


@pytest.mark.parametrize("candidate", ["linear", "forest", "boosting"])
def test_the_compiled_model_is_the_fitted_one(kind: TaskKind, candidate: str) -> None:
    model = fitted(kind, candidate)
    assert model.agreement.holds, str(model.agreement)
    assert model.agreement.records == 200


def test_a_model_beats_the_dummy(kind: TaskKind) -> None:
    model = fitted(kind, "boosting")
    metric = primary_metric(model.contract)
    assert model.test[metric] > model.baseline[metric] + 0.2


def test_the_same_data_and_seed_give_the_same_model(kind: TaskKind) -> None:
    one, other = (fitted(kind, "forest") for _ in range(2))
    assert one.test == other.test
    assert one.files["example.json"] == other.files["example.json"]


def test_the_contract_carries_what_training_saw(kind: TaskKind) -> None:
    contract = fitted(kind, "linear").contract
    size, _, _, city = contract.features
    assert size.seen is not None
    assert city.seen is not None
    assert size.seen.count == 600
    assert size.seen.missing > 0
    assert size.seen.minimum is not None
    assert set(city.seen.shares) == {"Bonn", "Köln", "Ulm"}
    assert all(contract.example[name] is not None for name in contract.names)


def test_the_threshold_travels_in_a_binary_contract_only() -> None:
    assert fitted(TaskKind.BINARY, "linear").contract.threshold != 0.5
    assert fitted(TaskKind.MULTICLASS, "linear").contract.threshold == 0.5


def test_the_threshold_is_the_best_one_of_the_validation_part() -> None:
    case = use_case(TaskKind.BINARY)
    train, validation, test = (records(TaskKind.BINARY, rows, seed) for seed, rows in enumerate((600, 200, 200)))
    model = fit(case, case.candidate("linear"), train, validation, test)
    of, wanted = model.contract, []
    for part in (validation, test):
        scores = fitted_scores(model.pipeline, of, part)[:, 1]
        wanted.append(best_f1_threshold((part["answer"] == "approved").to_numpy(), scores))
    assert of.threshold == wanted[0] != wanted[1]


def test_only_what_is_fitted_is_undersampled() -> None:
    case, kind = use_case(TaskKind.BINARY), TaskKind.BINARY
    whole = (records(kind, rows, seed) for seed, rows in enumerate((2000, 1000, 1000)))
    # One in ten or so is approved.
    train, validation, test = (part[(part["answer"] == "refused") | (part.index % 8 == 0)] for part in whole)
    model = fit(case, case.candidate("linear").model_copy(update={"positive_share": 0.5}), train, validation, test)
    assert model.records == 2 * (train["answer"] == "approved").sum() < len(train) / 4
    assert {feature.seen.count for feature in model.contract.features if feature.seen} == {len(train)}
    scores = fitted_scores(model.pipeline, model.contract, validation)[:, 1]
    assert model.contract.threshold == best_f1_threshold((validation["answer"] == "approved").to_numpy(), scores)
    assert model.agreement.records == len(model.test_scores) == len(test)
    share = (test["answer"] == "approved").mean()
    assert model.baseline["average_precision"] == pytest.approx(share)


def test_there_are_pictures(kind: TaskKind) -> None:
    shown = pictures(fitted(kind, "linear"), records(kind, 200, 2), seed=0)
    classified = {"confusion_matrix", "roc_curve", "precision_recall_curve"}
    expected = classified if kind.is_classification else {"predicted_against_actual"}
    assert set(shown) == expected | {"feature_importance"}


def test_a_class_whose_records_come_last_matters_to_the_importance_too() -> None:
    model = fitted(TaskKind.MULTICLASS, "linear")
    part = records(TaskKind.MULTICLASS, 2 * IMPORTANCE_RECORDS, 3)
    green = part["answer"] == "green"
    assert importance_plot(model.contract, model.pipeline, pd.concat([part[~green], part[green]]), seed=0).axes


@pytest.mark.parametrize(
    ("estimator", "parameters", "words"),
    [
        ("sklearn.ensemble.NoSuchForest", {}, "no estimator"),
        ("no_such_package.Forest", {}, "no estimator"),
        ("sklearn.ensemble.RandomForestClassifier", {"trees": 3}, "cannot be made"),
    ],
)
def test_an_estimator_that_cannot_be_made_is_named(estimator: str, parameters: dict[str, int], words: str) -> None:
    kind = TaskKind.BINARY
    part = records(kind, 50, 0)
    with pytest.raises(BadInput, match=f"candidate odd: .*{words}"):
        fit(use_case(kind), Candidate(name="odd", estimator=estimator, parameters=parameters), part, part, part)


def test_scores_that_differ_by_more_than_the_tolerance_disagree() -> None:
    contract = use_case(TaskKind.BINARY).contract()
    fitted_scores = np.array([[0.6, 0.4], [0.3, 0.7]])
    near, far = fitted_scores + TOLERANCE / 2, fitted_scores + TOLERANCE * 2
    assert compare_scores(contract, fitted_scores, near).holds
    assert not compare_scores(contract, fitted_scores, far).holds


def test_only_a_probability_at_the_threshold_may_decide_otherwise() -> None:
    contract = use_case(TaskKind.BINARY).contract()
    at = np.array([[0.5, 0.5]])
    assert compare_scores(contract, at, at - TOLERANCE / 2).holds
    flipped = Agreement(records=1, largest_difference=0, other_decisions=1)
    assert not flipped.holds


def with_many_cities(rows: int, seed: int) -> pd.DataFrame:
    """Hundreds of cities, some of them common, most of them not, and some that training never sees."""
    generator = np.random.default_rng(seed)
    frame = records(TaskKind.BINARY, rows, seed)
    places = np.minimum(generator.geometric(0.01, rows), 400) + (seed * 3)
    frame["city"] = [f"City {place}" if place % 50 else "" for place in places]
    frame["answer"] = np.where((places < 20) ^ (generator.random(rows) < 0.1), "approved", "refused").astype(object)
    return frame


@pytest.mark.parametrize("candidate", ["linear", "forest", "boosting"])
def test_a_category_of_hundreds_of_values_compiles_to_the_same_model_of_bounded_width(candidate: str) -> None:
    case = use_case(TaskKind.BINARY)
    train, validation, test = (with_many_cities(rows, seed) for seed, rows in enumerate((2000, 500, 500)))
    assert train["city"].nunique() > 200
    model = fit(case, case.candidate(candidate), train, validation, test)
    assert model.agreement.holds, str(model.agreement)
    assert model.pipeline.named_steps["inputs"].transform(test).shape[1] == 3 + MOST_CATEGORIES
    assert model.test["roc_auc"] > 0.55

"""Fitting and compiling, for every kind of task that tables have."""

import numpy as np
import pandas as pd
import pytest

from modelyard.contract import Feature, FeatureType, Label, Target, TaskKind
from modelyard.errors import BadInput
from modelyard.models.cross_validation import Dependence, choose_folds, hold_out
from modelyard.models.evaluation.metrics import choose_threshold
from modelyard.models.evaluation.plots import IMPORTANCE_RECORDS, importance_plot
from modelyard.models.fit import Fitted, Fitting, decide, fit, pictures
from modelyard.models.tabular.export import TOLERANCE, Agreement, compare_scores
from modelyard.models.tabular.pipeline import MOST_CATEGORIES
from modelyard.use_case import Candidate, Split, UseCase

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
    metric = use_case(kind).objective.metric
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
    assert size.seen.count == 800
    assert size.seen.missing > 0
    assert size.seen.minimum is not None
    assert set(city.seen.shares) == {"Bonn", "Köln", "Ulm"}
    assert all(contract.example[name] is not None for name in contract.names)


def test_the_threshold_travels_in_a_binary_contract_only() -> None:
    assert fitted(TaskKind.BINARY, "linear").contract.threshold != 0.5
    assert fitted(TaskKind.MULTICLASS, "linear").contract.threshold == 0.5


def test_nothing_is_decided_by_the_test_part_and_what_is_learnt_is_both_others() -> None:
    case = use_case(TaskKind.BINARY)
    train, validation, test, other = (
        records(TaskKind.BINARY, rows, seed) for seed, rows in enumerate((600, 200, 200, 200))
    )
    candidate = case.candidate("boosting")
    model, same = fit(case, candidate, train, validation, test), fit(case, candidate, train, validation, other)
    assert model.records == 800
    assert (model.contract.threshold, model.contract.calibration) == (
        same.contract.threshold,
        same.contract.calibration,
    )
    assert model.validation == same.validation
    assert model.test != same.test
    assert model.files["example.json"] == same.files["example.json"]


def test_the_threshold_differs_little_from_one_training_to_the_next() -> None:
    """Beside one from the validation part alone, which was the rule before."""
    case, test, candidate = use_case(TaskKind.BINARY), records(TaskKind.BINARY, 1000, 1000), LINEAR[TaskKind.BINARY]
    fitting = Fitting(case, Candidate(name="linear", estimator=candidate, scale=True), case.contract(), None)
    shares, before = [], []
    for seed in range(20):
        train, validation = records(TaskKind.BINARY, 300, seed), records(TaskKind.BINARY, 40, seed + 100)
        parts = pd.concat([train, validation])
        folds = choose_folds(fitting.contract, train, validation, case.seed)
        contract, _ = decide(case, fitting.contract, hold_out(fitting.contract, parts, folds, fitting.answer), None)
        scores = fitting.answer(parts, test)[:, 1]
        shares.append(np.mean(scores >= contract.threshold))
        positive = (validation["answer"] == "approved").to_numpy()
        threshold = choose_threshold(case.objective, positive, fitting.answer(train, validation)[:, 1])
        before.append(np.mean(scores >= threshold))
    assert np.std(shares) < 0.6 * np.std(before)


def test_what_it_is_chosen_by_keeps_groups_whole() -> None:
    """Of noise, and records that are there five times: a copy in another fold would be known by heart."""
    case, generator = use_case(TaskKind.BINARY), np.random.default_rng(0)
    train, validation, test = (records(TaskKind.BINARY, rows, seed) for seed, rows in enumerate((60, 20, 200)))
    train, validation = (pd.concat([part] * 5, ignore_index=True) for part in (train, validation))
    answers = generator.permutation(["approved", "refused"] * 40)
    groups = [*np.tile(np.arange(60), 5), *np.tile(np.arange(60, 80), 5)]
    train["answer"], validation["answer"] = np.split(answers[groups], [300])
    dependence = Dependence(Split(by="customer"), [str(group) for group in (*groups, *range(100, 300))])
    trees = Candidate(name="trees", estimator="sklearn.ensemble.RandomForestClassifier")
    by_chance = fit(case, trees, train, validation, test).validation["roc_auc"]
    assert by_chance > 0.95
    assert fit(case, trees, train, validation, test, dependence=dependence).validation["roc_auc"] < 0.75


def test_only_what_is_fitted_is_undersampled() -> None:
    case, kind = use_case(TaskKind.BINARY), TaskKind.BINARY
    whole = (records(kind, rows, seed) for seed, rows in enumerate((2000, 1000, 1000)))
    # One in ten or so is approved.
    train, validation, test = (part[(part["answer"] == "refused") | (part.index % 8 == 0)] for part in whole)
    model = fit(case, case.candidate("linear").model_copy(update={"positive_share": 0.5}), train, validation, test)
    learnable = pd.concat([train, validation])
    assert model.records == 2 * (learnable["answer"] == "approved").sum() < len(learnable) / 4
    assert {feature.seen.count for feature in model.contract.features if feature.seen} == {len(learnable)}
    assert model.agreement.records == len(model.test_scores) == len(test)
    share = (test["answer"] == "approved").mean()
    assert model.baseline["average_precision"] == pytest.approx(share)


def test_there_are_pictures(kind: TaskKind) -> None:
    shown = pictures(fitted(kind, "linear"), records(kind, 200, 2), seed=0)
    classified = {"confusion_matrix", "reliability", "roc_curve", "precision_recall_curve"}
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


def test_thresholds_between_neighbouring_float32_values_compile() -> None:
    case = use_case(TaskKind.BINARY)
    train, validation, test = (records(TaskKind.BINARY, rows, seed) for seed, rows in enumerate((600, 200, 200)))
    low, high = np.float32(0.7), np.nextafter(np.float32(0.7), np.float32(1))
    # Of two such pairs, the middle is rounded up in one of them.
    further = np.nextafter(high, np.float32(1))
    for part in (train, validation, test):
        generator = np.random.default_rng(len(part))
        part["size"] = generator.choice([low, high, further], len(part)).astype(np.float32)
        places = np.searchsorted([low, high, further], part["size"])
        part["answer"] = np.where(
            generator.random(len(part)) < np.array([0.1, 0.9, 0.2])[places], "approved", "refused"
        )
        part["answer"] = part["answer"].astype(object)
    model = fit(case, case.candidate("boosting"), train, validation, test)
    assert model.test["roc_auc"] > 0.8
    assert model.agreement.holds, str(model.agreement)

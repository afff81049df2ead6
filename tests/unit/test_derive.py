"""Derived features: declared once, the same in the fitted and in the compiled model."""

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from modelyard.contract import Derived, Feature, FeatureType, Target, TaskKind, Term
from modelyard.models.derive import derived_features
from modelyard.models.fit import Fitted, compiled_scores, fit
from modelyard.use_case import Candidate, UseCase

FEATURES = (
    Feature(name="income", type=FeatureType.NUMBER, nullable=True),
    Feature(name="debt_ratio", type=FeatureType.NUMBER),
    Feature(name="late", type=FeatureType.INTEGER),
    Feature(name="very_late", type=FeatureType.INTEGER),
    Feature(name="city", type=FeatureType.CATEGORY, nullable=True),
)
LEFT_OVER = Derived(
    name="left_over", terms=(Term(features=("income",)), Term(weight=-1, features=("income", "debt_ratio")))
)
LATENESS = Derived(
    name="lateness", terms=(Term(weight=0.3, features=("late",)), Term(weight=0.7, features=("very_late",)))
)
FOREST = Candidate(
    name="forest", estimator="sklearn.ensemble.RandomForestClassifier", parameters={"n_estimators": 20}, impute="mean"
)
LINEAR = Candidate(
    name="linear", estimator="sklearn.linear_model.LogisticRegression", parameters={"max_iter": 1000}, scale=True
)


def use_case(derived: tuple[Derived, ...] = (LEFT_OVER, LATENESS), dropped: tuple[str, ...] = ("income",)) -> UseCase:
    return UseCase(
        name="derived",
        title="Derived",
        kind=TaskKind.BINARY,
        features=FEATURES,
        target=Target(name="failed", classes=(0, 1)),
        derived=derived,
        dropped=dropped,
        source="derived.csv",
        candidates=(FOREST, LINEAR),
    )


def records(rows: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "income": generator.lognormal(8.5, 1, rows).astype(np.float32),
            "debt_ratio": generator.lognormal(-1, 1, rows).astype(np.float32),
            "late": generator.integers(0, 5, rows).astype(np.float32),
            "very_late": generator.integers(0, 5, rows).astype(np.float32),
            "city": generator.choice(["Bonn", "Köln", ""], rows),
        }
    )
    left_over = frame["income"] * (1 - frame["debt_ratio"])
    frame["failed"] = (left_over + generator.normal(0, 2000, rows) < left_over.median()).astype(np.int64)
    frame.loc[generator.random(rows) < 0.2, "income"] = np.nan
    return frame


def fitted(candidate: Candidate, case: UseCase) -> Fitted:
    return fit(case, candidate, records(600, 0), records(200, 1), records(300, 2))


def test_a_derived_feature_is_what_its_declaration_says() -> None:
    step = derived_features(use_case().contract(), ["income", "debt_ratio", "late", "very_late"])
    assert step is not None
    found = step.fit_transform(np.array([[3000, 0.25, 2, 1], [1000, 2, 0, 3]], dtype=np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, [[0.25, 2, 1, 2250, 0.3 * 2 + 0.7], [2, 0, 3, -1000, 2.1]], rtol=1e-6
    )  # without income, with what is left over of it


@pytest.mark.parametrize("candidate", [FOREST, LINEAR], ids=lambda each: each.name)
def test_the_compiled_model_derives_as_the_fitted_one(candidate: Candidate) -> None:
    model = fitted(candidate, use_case())
    assert model.agreement.holds, str(model.agreement)
    assert model.test["roc_auc"] > 0.7


def test_both_take_the_features_as_they_came() -> None:
    model = fitted(FOREST, use_case())
    part = records(300, 2)
    compiled = compiled_scores(model.files, part)
    np.testing.assert_allclose(compiled, model.pipeline.predict_proba(part[model.contract.names]), atol=1e-5)
    # What is missing has become the mean of what was fitted on before anything was made of it.
    mean = float(pd.concat([records(600, 0), records(200, 1)])["income"].mean(skipna=True))
    given = part.assign(income=part["income"].fillna(np.float32(mean)))
    np.testing.assert_allclose(compiled, compiled_scores(model.files, given), atol=1e-5)


def test_a_dropped_feature_matters_through_derived_ones_only() -> None:
    only_late = (LATENESS.model_copy(update={"terms": (*LATENESS.terms, Term(weight=0, features=("income",)))}),)
    model = fitted(FOREST, use_case(derived=only_late))
    part = records(100, 3)
    richer = part.assign(income=part["income"] * 2)
    np.testing.assert_array_equal(compiled_scores(model.files, part), compiled_scores(model.files, richer))
    late = part.assign(very_late=part["very_late"] + 2)
    assert not np.array_equal(compiled_scores(model.files, part), compiled_scores(model.files, late))


@pytest.mark.parametrize(
    ("derived", "dropped", "words"),
    [
        ((Derived(name="late", terms=LATENESS.terms),), (), "the derived feature late is there already"),
        ((LATENESS, LATENESS), (), "the derived feature lateness is there already"),
        ((Derived(name="town", terms=(Term(features=("city",)),)),), (), "derived of city: no numeric feature"),
        ((Derived(name="new", terms=(Term(features=("nothing",)),)),), (), "derived of nothing: no numeric feature"),
        ((LATENESS,), ("income",), "income is dropped, and in no derived feature"),
    ],
)
def test_a_declaration_that_cannot_be_meant_is_refused(
    derived: tuple[Derived, ...], dropped: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        use_case(derived, dropped)


def test_only_a_binary_target_has_a_positive_share() -> None:
    candidate = FOREST.model_copy(update={"positive_share": 0.5})
    with pytest.raises(ValidationError, match="candidate forest: only a binary target has a positive share"):
        UseCase(
            name="colours",
            title="Colours",
            kind=TaskKind.MULTICLASS,
            features=FEATURES,
            target=Target(name="colour", classes=("blue", "green", "red")),
            source="colours.csv",
            candidates=(candidate,),
        )


def test_only_what_is_fitted_is_undersampled() -> None:
    kept = fitted(FOREST, use_case())
    fewer = fitted(FOREST.model_copy(update={"positive_share": 0.9}), use_case())
    assert fewer.records < kept.records == 800
    assert fewer.contract.features == kept.contract.features  # the statistics come from all records
    assert fewer.agreement.records == kept.agreement.records == 300
    # Of what it was fitted on, nine in ten were positive; its probabilities are those of all records.
    assert fewer.test_scores[:, 1].mean() == pytest.approx(kept.test_scores[:, 1].mean(), abs=0.1)

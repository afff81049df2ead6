import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.catalog import find_use_case, read_catalog
from modelyard.errors import BadInput
from modelyard.objective import Cost
from modelyard.use_case import Candidate, Profile, Split, UseCase


def test_no_code_knows_a_use_case_by_its_name() -> None:
    root = Path(__file__).parents[2]
    files = [file for folder in ("src", "services", "dags") for file in (root / folder).rglob("*.py")]
    named = re.compile(rf"\b({'|'.join(read_catalog().use_cases)})\b")
    # The one that is run when none is named; and a data set of scikit-learn's, which has a use case's name.
    allowed = {"settings.py", "bundled.py"}
    for file in files:
        if file.parent.name != "usecases" and file.name not in allowed:
            assert not named.search(file.read_text(encoding="utf-8")), file


def test_the_shares_of_a_split_are_a_whole() -> None:
    with pytest.raises(ValidationError, match="add up to 1"):
        Split(train=0.7, validation=0.2, test=0.2)


@pytest.mark.parametrize(
    ("declared", "problem"),
    [
        ({"by": "a", "by_content": True}, "exclude each other"),
        ({"by": "a", "time": "a", "validation": "1d", "test": "1d"}, "cannot be both the group and the time"),
        ({"time": "t"}, "either validation_from and test_from, or durations"),
        ({"time": "t", "validation": "1d", "test": 0.2}, "either validation_from and test_from, or durations"),
        ({"time": "t", "test_from": "2026-01-01"}, "either validation_from and test_from, or durations"),
        ({"validation": "30d", "test": "30d"}, "need time"),
        ({"test_from": "2026-01-01"}, "need time"),
        ({"time": "t", "validation_from": "2026-02-01", "test_from": "2026-01-01"}, "must be before test_from"),
        ({"time": "t", "validation_from": "01.02.2026", "test_from": "2026-03-01"}, "no date or time in ISO 8601"),
        ({"time": "t", "validation": "30d", "test": "30d", "train": 0.5}, "has no shares: take out train"),
        ({"aliases": {"other": ("x",)}}, "which the split does not go by"),
        ({"by": "a", "path": "(?P<b>.)"}, "has no group named a"),
    ],
)
def test_a_split_that_contradicts_itself_is_refused(declared: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Split.model_validate(declared)


def test_what_a_split_does_not_use_is_not_part_of_what_it_is() -> None:
    # Snapshots are called by it: those that are there must be found again.
    assert Split().identity() == {"train": 0.7, "validation": 0.1, "test": 0.2, "seed": 0}
    assert Split(by="c", aliases={"c": ("C!",)}).identity() == Split().identity() | {"by": "c"}
    fixed = Split(time="t", validation_from="2026-01-01", test_from="2026-02-01")
    for split in (Split(), Split(by_content=True), Split(by="c", time="t", validation="1d", test="2w"), fixed):
        assert Split.model_validate(split.identity()) == split


def test_an_unknown_candidate_is_told_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="it has: logistic_regression, random_forest"):
        find_use_case("loan_approval").candidate("tree")


def test_loan_approval_has_the_originals_columns() -> None:
    use_case: UseCase = find_use_case("loan_approval")
    assert use_case.contract().names == [
        "age",
        "annual_income",
        "credit_score",
        "loan_amount",
        "loan_duration_years",
        "number_of_open_accounts",
        "had_past_default",
    ]
    assert use_case.contract().key == "id"


SMALL = Profile(
    source="small.csv",
    candidates=tuple(
        Candidate(name=candidate.name, estimator="sklearn.dummy.DummyClassifier")
        for candidate in find_use_case("loan_approval").candidates
    ),
)


def with_profile(profile: Profile, sample: str | None = None) -> UseCase:
    loans = find_use_case("loan_approval").model_dump(exclude={"profiles", "sample"})
    return UseCase.model_validate({**loans, "profiles": {"small": profile}, "sample": sample})


def test_a_profile_replaces_what_it_gives_and_nothing_else() -> None:
    loans = with_profile(SMALL, sample="small")
    small = loans.in_profile("small")
    assert (small.source, small.candidates, small.profile) == ("small.csv", SMALL.candidates, "small")
    assert (small.name, small.gate, small.contract()) == (loans.name, loans.gate, loans.contract())
    assert loans.in_profile(None) is loans


def test_the_records_of_a_profile_are_kept_apart() -> None:
    loans = with_profile(SMALL)
    assert (loans.data_name, loans.in_profile("small").data_name) == ("loan_approval", "loan_approval__small")


def test_an_unknown_profile_is_told_with_those_there_are() -> None:
    with pytest.raises(BadInput, match="no profile 'large'; it has: small"):
        with_profile(SMALL).in_profile("large")


def test_a_profile_has_the_candidates_and_features_of_its_use_case() -> None:
    with pytest.raises(ValidationError, match="profile small must have the candidates logistic_regression, "):
        with_profile(SMALL.model_copy(update={"candidates": SMALL.candidates[:1]}))  # type: ignore[index]
    with pytest.raises(ValidationError, match="profile small must have the features age, "):
        with_profile(SMALL.model_copy(update={"features": find_use_case("loan_approval").features[:1]}))
    with pytest.raises(ValidationError, match="no profile large that could be the sample"):
        with_profile(SMALL, sample="large")


def test_what_a_later_file_is_can_only_be_said_where_there_is_no_key() -> None:
    loans, pictures = (dict(find_use_case(name)) for name in ("loan_approval", "skin_cancer"))
    assert UseCase(**{**loans, "key": None, "records": "other"}).is_keyless
    with pytest.raises(ValidationError, match="records is for tables without a key: id is the key"):
        UseCase(**{**loans, "records": "other"})
    with pytest.raises(
        ValidationError, match="records is for tables without a key: pictures are known by their content"
    ):
        UseCase(**{**pictures, "records": "whole"})


def binary(**settings: object) -> UseCase:
    return UseCase.model_validate(
        {
            "name": "loans",
            "title": "Loans",
            "kind": "binary",
            "features": [{"name": "region", "type": "category"}, {"name": "age", "type": "number"}],
            "target": {"name": "paid", "classes": ["no", "yes"]},
            "source": "loans.csv",
            "candidates": [{"name": "line", "estimator": "sklearn.linear_model.LogisticRegression"}],
            **settings,
        }
    )


COSTS = (Cost(actual="yes", told="no", cost=5), Cost(actual="no", told="yes", cost=1))


def test_what_models_are_judged_by_is_usual_unless_it_is_named() -> None:
    usual = binary().objective
    assert (usual.metric, usual.decision_metric, usual.guarded) == ("roc_auc", "f1", ("log_loss", "f1", "accuracy"))
    priced = binary(costs=COSTS, slices=("region",)).objective
    assert (priced.decision_metric, priced.guarded) == ("cost", ("log_loss", "cost"))
    assert priced.cost_of("yes", "no") == 5
    assert priced.cost_of("yes", "yes") == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "r2"}, "metric='r2' does not go with this target; these do: roc_auc, average_precision"),
        ({"metric": "cost"}, "needs costs="),
        ({"decision_metric": "log_loss"}, "decision_metric='log_loss' does not go with this target; these do: f1"),
        ({"metric": "mean_pinball_loss", "quantile": 0.9}, "does not go with this target"),
        ({"quantile": 0.9}, "go together"),
        ({"costs": COSTS[:1]}, "name both kinds of wrong answers"),
        ({"costs": (COSTS[0], COSTS[0])}, "each kind of wrong answer once"),
        (
            {"costs": (COSTS[0], Cost(actual="maybe", told="no", cost=1))},
            "costs name maybe, and the classes are no, yes",
        ),
        ({"slices": ("age",)}, "slices names age, which is not a feature of type category or boolean"),
        ({"slices": ("town",)}, "slices names town"),
    ],
)
def test_what_models_cannot_be_judged_by_is_a_sentence(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        binary(**settings)

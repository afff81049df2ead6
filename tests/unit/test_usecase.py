import re
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.errors import BadInput, UnknownUseCase
from modelyard.usecase import Candidate, Profile, Split, UseCase, find_use_case, find_use_cases

OWN = """
from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.usecase import Candidate, UseCase

USE_CASE = UseCase(
    name="{name}",
    title="Prices",
    kind=TaskKind.REGRESSION,
    features=(Feature(name="size", type=FeatureType.NUMBER),),
    target=Target(name="price"),
    source="prices.csv",
    candidates=(Candidate(name="line", estimator="sklearn.linear_model.LinearRegression"),),
)
"""


def write(folder: Path, name: str, stem: str | None = None) -> None:
    (folder / f"{stem or name}.py").write_text(OWN.format(name=name), encoding="utf-8")


def test_use_cases_are_found_in_the_package_and_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "prices")
    found = find_use_cases(tmp_path)
    assert {"loan_approval", "prices"} <= set(found)
    assert "prices" not in find_use_cases()


def test_no_code_knows_a_use_case_by_its_name() -> None:
    root = Path(__file__).parents[2]
    files = [file for folder in ("src", "services", "dags") for file in (root / folder).rglob("*.py")]
    named = re.compile(rf"\b({'|'.join(find_use_cases())})\b")
    # The one that is run when none is named; and a data set of scikit-learn's, which has a use case's name.
    allowed = {"settings.py", "bundled.py"}
    for file in files:
        if file.parent.name != "usecases" and file.name not in allowed:
            assert not named.search(file.read_text(encoding="utf-8")), file


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownUseCase, match=r"no use case 'nothing'; there are: .*loan_approval"):
        find_use_case("nothing")


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    write(tmp_path, "loan_approval", stem="mine")
    with pytest.raises(BadInput, match=r"mine\.py: there is another use case named loan_approval"):
        find_use_case("loan_approval", tmp_path)


def test_a_name_of_the_platforms_own_tables_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "predictions")
    with pytest.raises(BadInput, match="table of the platform's own"):
        find_use_case("predictions", tmp_path)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="USE_CASES_PATH"):
        find_use_cases(tmp_path / "missing")


def test_the_shares_of_a_split_are_a_whole() -> None:
    with pytest.raises(ValidationError, match="add up to 1"):
        Split(train=0.7, validation=0.2, test=0.2)


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


def test_finding_use_cases_loads_no_library_of_models_or_frames() -> None:
    heavy = ("pandas", "sklearn", "mlflow", "onnxruntime", "pyarrow", "sqlalchemy")
    code = (
        "import sys; from modelyard.usecase import find_use_cases; find_use_cases();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


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

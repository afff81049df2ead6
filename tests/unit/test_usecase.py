import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.errors import BadInput, UnknownUseCase
from modelyard.usecase import Split, UseCase, find_use_case, find_use_cases

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

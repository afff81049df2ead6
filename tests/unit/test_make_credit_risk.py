"""The borrowers that come with Modelyard: made anew they are the same, and they look like those of the public table."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from data.make_credit_risk import MISSING_DEPENDENTS_SHARE, MISSING_INCOME_SHARE, NOT_TOLD, credit_records, main

DATA = Path(__file__).parents[2] / "data"
# As the public file has them.
HEADER = (
    ",SeriousDlqin2yrs,RevolvingUtilizationOfUnsecuredLines,age,NumberOfTime30-59DaysPastDueNotWorse,DebtRatio,"
    "MonthlyIncome,NumberOfOpenCreditLinesAndLoans,NumberOfTimes90DaysLate,NumberRealEstateLoansOrLines,"
    "NumberOfTime60-89DaysPastDueNotWorse,NumberOfDependents"
)


@pytest.fixture(scope="module")
def many() -> pd.DataFrame:
    return credit_records(100_000, seed=3)


def test_the_script_writes_the_file_that_is_there_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = tmp_path / "again.csv"
    monkeypatch.setattr(sys, "argv", ["make_credit_risk.py", "--out", str(again)])
    main()
    assert again.read_bytes() == (DATA / "credit_risk.csv").read_bytes()
    assert again.stat().st_size < 1_000_000


def test_the_file_has_the_columns_of_the_public_table_in_their_order() -> None:
    lines = (DATA / "credit_risk.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == HEADER
    assert lines[1].startswith("1,")
    assert len(lines) == 8001


def test_about_7_of_100_get_into_trouble(many: pd.DataFrame) -> None:
    assert many["SeriousDlqin2yrs"].mean() == pytest.approx(0.07, abs=0.005)


def test_incomes_and_dependents_are_missing_as_often_as_there(many: pd.DataFrame) -> None:
    missing = many.isna().mean()
    assert missing["MonthlyIncome"] == pytest.approx(MISSING_INCOME_SHARE, abs=0.01)
    assert missing["NumberOfDependents"] == pytest.approx(MISSING_DEPENDENTS_SHARE, abs=0.005)
    assert missing.drop(["MonthlyIncome", "NumberOfDependents"]).max() == 0


@pytest.mark.parametrize(
    "column", ["RevolvingUtilizationOfUnsecuredLines", "DebtRatio", "MonthlyIncome", "NumberRealEstateLoansOrLines"]
)
def test_tails_are_heavy(many: pd.DataFrame, column: str) -> None:
    values = many[column].dropna().astype(float)
    assert values.max() > 50 * values.quantile(0.9)
    assert values.min() >= 0


def test_without_an_income_the_debt_ratio_is_an_amount(many: pd.DataFrame) -> None:
    without = many["MonthlyIncome"].isna()
    assert many.loc[without, "DebtRatio"].median() > 1000
    assert many.loc[~without, "DebtRatio"].median() < 1


def test_what_a_bureau_would_not_say_stands_in_all_three_counts(many: pd.DataFrame) -> None:
    counts = many[[column for column in many if "Days" in str(column)]]
    assert counts.shape[1] == 3
    assert (counts == NOT_TOLD).any(axis=1).sum() == (counts == NOT_TOLD).all(axis=1).sum() > 0


def test_another_seed_gives_other_records_and_ids_count_on() -> None:
    frame = credit_records(10, seed=1)
    assert frame.equals(credit_records(10, seed=1))
    assert not frame.equals(credit_records(10, seed=2))
    assert credit_records(10, seed=1, first_id=100).index.tolist() == list(range(100, 110))

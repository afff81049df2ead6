"""Credit risk: the public table as it is, and the three features as they were defined."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from data.make_credit_risk import credit_records
from modelyard.catalog import find_use_case
from modelyard.frames import frame_of
from modelyard.models.derive import derived_features
from modelyard.models.fit import fit
from modelyard.models.tabular.pipeline import make_pipeline
from modelyard.records import Records
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import opened
from modelyard.sources.records import read_records
from modelyard.split import parts_of
from modelyard.steps.compare import best_of
from modelyard.use_case import PARTS

USE_CASE = find_use_case("credit_risk")
CONTRACT = USE_CASE.contract()
SAMPLE = Path(__file__).parents[2] / "data" / "credit_risk.csv"
HEADER = [
    "SeriousDlqin2yrs", "RevolvingUtilizationOfUnsecuredLines", "age", "NumberOfTime30-59DaysPastDueNotWorse",
    "DebtRatio", "MonthlyIncome", "NumberOfOpenCreditLinesAndLoans", "NumberOfTimes90DaysLate",
    "NumberRealEstateLoansOrLines", "NumberOfTime60-89DaysPastDueNotWorse", "NumberOfDependents",
]  # fmt: skip
RECORD = ["1", "0.766126609", "45", "2", "0.802982129", "9120", "13", "0", "6", "0", "2"]


def read(path: Path, lines: list[str]) -> Records:
    path.write_text("\n".join(lines) + "\n")
    with opened(str(path)) as content:
        [records] = read_records(CsvFile(content, USE_CASE), USE_CASE)
    return records


@pytest.mark.parametrize("index", ["", '""', "Unnamed: 0"], ids=["plain", "as R writes it", "as pandas reads it"])
def test_the_public_columns_are_found_as_they_are(tmp_path: Path, index: str) -> None:
    names = [f'"{name}"' for name in HEADER] if index == '""' else HEADER
    records = read(tmp_path / "cs-training.csv", [",".join([index, *names]), ",".join(["17", *RECORD])])
    assert records.rejected == []
    [found] = records.accepted.to_pylist()
    assert (found["record_key"], found["serious_delinquency"], found["age"]) == ("17", 1, 45)
    assert (found["monthly_income"], found["number_of_dependents"], found["debt_ratio"]) == (9120, 2, 0.802982129)
    late = [found[f"number_of_{name}"] for name in (
        "time_30_59_days_past_due_not_worse", "time_60_89_days_past_due_not_worse", "times_90_days_late",
    )]  # fmt: skip
    assert late == [2, 0, 0]


def test_what_is_missing_there_is_missing_here(tmp_path: Path) -> None:
    without = [*RECORD[:5], "NA", *RECORD[6:-1], "NA"]
    [found] = read(tmp_path / "public.csv", [",".join(["", *HEADER]), ",".join(["1", *without])]).accepted.to_pylist()
    assert (found["monthly_income"], found["number_of_dependents"]) == (None, None)


def test_the_borrower_of_age_0_is_set_aside_and_the_codes_of_the_bureau_are_not(tmp_path: Path) -> None:
    newborn, silent = ["0" if n == 2 else cell for n, cell in enumerate(RECORD)], RECORD.copy()
    for position in (3, 7, 9):
        silent[position] = "98"
    records = read(
        tmp_path / "public.csv", [",".join(["", *HEADER]), "1," + ",".join(newborn), "2," + ",".join(silent)]
    )
    assert records.accepted["record_key"].to_pylist() == ["2"]
    [rejected] = records.rejected
    assert (rejected.line, rejected.column) == (2, "age")
    assert "'0' is outside of what is valid: 18 to 120" in rejected.reason


def frame(rows: int) -> pd.DataFrame:
    names = {alias: feature.name for feature in USE_CASE.features for alias in feature.aliases}
    made = credit_records(rows, seed=4).rename(columns=names)
    return made[USE_CASE.contract().names].astype("float64").astype(np.float32)


def test_the_three_features_are_what_they_were_defined_as() -> None:
    records = frame(500).fillna(0)
    step = derived_features(USE_CASE.contract(), USE_CASE.contract().names)
    assert step is not None
    derived = step.fit_transform(records.to_numpy())
    exact = records.astype(np.float64)
    thirty, sixty, ninety = (exact[f"number_of_{name}"] for name in (
        "time_30_59_days_past_due_not_worse", "time_60_89_days_past_due_not_worse", "times_90_days_late",
    ))  # fmt: skip
    income = exact["monthly_income"]
    np.testing.assert_allclose(derived[:, -3], thirty + sixty + ninety, rtol=1e-6)
    np.testing.assert_allclose(derived[:, -2], income - income * exact["debt_ratio"], rtol=1e-5, atol=1e-2)
    np.testing.assert_allclose(derived[:, -1], 0.1 * thirty + 0.2 * sixty + 0.7 * ninety, rtol=1e-6)


def test_their_five_sources_are_dropped_and_missing_values_become_the_mean() -> None:
    records = frame(2000)
    target = (np.arange(2000) % 3 == 0).astype(int)
    candidate, _ = USE_CASE.candidates
    pipeline = make_pipeline(candidate.model_copy(update={"parameters": {"n_estimators": 2}}), USE_CASE.contract(), 0)
    pipeline.fit(records, target)
    seen = pipeline[:-1].transform(records)
    kept = [name for name in records if name not in USE_CASE.dropped]
    assert len(USE_CASE.dropped) == 5
    assert seen.shape == (2000, len(kept) + 3)
    dependents = kept.index("number_of_dependents")
    filled = records["number_of_dependents"].fillna(np.float32(records["number_of_dependents"].astype(float).mean()))
    np.testing.assert_allclose(seen[:, dependents], filled, rtol=1e-5)


def test_no_scaler_stands_before_the_trees() -> None:
    assert [candidate.scale for candidate in USE_CASE.candidates] == [False, False]


@pytest.mark.long
def test_the_candidate_of_all_borrowers_is_chosen_and_says_the_share_that_gets_into_trouble() -> None:
    with opened(str(SAMPLE)) as content:
        read_frames = [frame_of(each.accepted, CONTRACT) for each in read_records(CsvFile(content, USE_CASE), USE_CASE)]
    borrowers = pd.concat(read_frames)
    labels = parts_of(borrowers.index.tolist(), USE_CASE.split)
    train, validation, test = (borrowers[labels == part] for part in PARTS)
    undersampled, of_all = (fit(USE_CASE, each, train, validation, test) for each in USE_CASE.candidates)
    assert best_of(USE_CASE.objective.metric, [undersampled, of_all]) is of_all
    assert of_all.validation["log_loss"] < undersampled.validation["log_loss"]
    assert of_all.validation["average_precision"] > undersampled.validation["average_precision"]
    for fitted in (undersampled, of_all):
        assert fitted.test_scores[:, 1].mean() == pytest.approx(test[CONTRACT.target.name].mean(), abs=0.015)
        assert fitted.test["brier_score"] < fitted.baseline["brier_score"]


def test_the_average_precision_chooses() -> None:
    assert USE_CASE.objective.watched == ("average_precision", "log_loss", "f1")

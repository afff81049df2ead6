"""The loan records that come with Modelyard: made anew they are the same, and a model can learn from them."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from data.make_loan_approval import MISSING_SHARES, PAST_DEFAULT_SHARE, RANGES, loan_records, main

DATA = Path(__file__).parents[2] / "data"
COLUMNS = [
    "Age",
    "Annual_Income",
    "Credit_Score",
    "Loan_Amount",
    "Loan_Duration_Years",
    "Number_of_Open_Accounts",
    "Had_Past_Default",
    "Loan_Approval",
]


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return pd.read_csv(DATA / "loan_approval.csv", index_col=0)


def test_the_script_writes_the_file_that_is_there_byte_by_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    again = tmp_path / "again.csv"
    monkeypatch.setattr(sys, "argv", ["make_loan_approval.py", "--out", str(again)])
    main()
    assert again.read_bytes() == (DATA / "loan_approval.csv").read_bytes()


def test_the_file_has_the_columns_of_the_public_table(records: pd.DataFrame) -> None:
    header = (DATA / "loan_approval.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "," + ",".join(COLUMNS)
    assert records.index.tolist() == list(range(5000))


def test_values_are_in_the_ranges_and_missing_where_they_may_be() -> None:
    frame = loan_records(50_000, seed=3)
    for name, (smallest, largest) in RANGES.items():
        spread = (largest - smallest) / 100
        assert smallest <= frame[name].min() <= smallest + spread
        assert largest - spread <= frame[name].max() <= largest
    missing = frame.isna().mean()
    assert missing.to_dict() == pytest.approx({name: MISSING_SHARES.get(name, 0) for name in COLUMNS}, abs=0.005)
    assert frame["Had_Past_Default"].mean() == pytest.approx(PAST_DEFAULT_SHARE, abs=0.01)


def test_another_seed_gives_other_records_and_ids_count_on() -> None:
    frame = loan_records(10, seed=1)
    assert frame.equals(loan_records(10, seed=1))
    assert not frame.equals(loan_records(10, seed=2))
    assert loan_records(10, seed=1, first_id=100).index.tolist() == list(range(100, 110))


def test_a_good_model_reaches_a_roc_auc_of_about_085(records: pd.DataFrame) -> None:
    features, target = records[COLUMNS[:-1]], records["Loan_Approval"]
    model = HistGradientBoostingClassifier(max_iter=168, max_depth=6, learning_rate=0.05, random_state=0)
    model.fit(features[:3500], target[:3500])
    area = roc_auc_score(target[4000:], model.predict_proba(features[4000:])[:, 1])
    assert 0.82 < area < 0.89
    assert 0.3 < target.mean() < 0.7

"""Makes loan applications that nobody ever made, and `loan_approval.csv` beside this file.

    python data/make_loan_approval.py

The columns, their ranges and their shares of missing values are those of the public loan table that many tutorials
use. The target is not: here it follows from the features. A bank that knew `approval_probability` could reach a ROC
AUC of 0.89; a good model of 3 500 records reaches about 0.85: some values are missing, some applicants are lucky.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROWS = 5_000
SEED = 20_261_120
FILE = Path(__file__).with_name("loan_approval.csv")

# Smallest and largest value of each column, both included.
RANGES = {
    "Age": (18, 69),
    "Annual_Income": (30_060, 199_991),
    "Credit_Score": (301, 849),
    "Loan_Amount": (5_006, 49_989),
    "Loan_Duration_Years": (1, 29),
    "Number_of_Open_Accounts": (1, 14),
}
MISSING_SHARES = {
    "Age": 0.02,
    "Annual_Income": 0.05,
    "Credit_Score": 0.04,
    "Loan_Amount": 0.03,
    "Number_of_Open_Accounts": 0.01,
}
PAST_DEFAULT_SHARE = 0.2

Floats = NDArray[np.float64]


def loan_records(rows: int, seed: int, first_id: int = 0) -> pd.DataFrame:
    """Loan applications, the same for the same arguments.

    Args:
        rows: How many.
        seed: Seed of everything random.
        first_id: Index of the first record; the others count on from it.

    Returns:
        The table as the CSV file has it: the index is the record's id and has no name.
    """
    # Uniform numbers only: their stream is the same in all versions of numpy, that of other distributions need not be.
    random = np.random.Generator(np.random.PCG64(seed)).random
    columns = {name: _whole_numbers(random(rows), *limits) for name, limits in RANGES.items()}
    columns["Had_Past_Default"] = (random(rows) < PAST_DEFAULT_SHARE).astype(np.int64)
    approved = random(rows) < approval_probability(columns)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(first_id, first_id + rows)).astype("Int64")
    for name, share in MISSING_SHARES.items():
        frame.loc[random(rows) < share, name] = pd.NA
    return frame.assign(Loan_Approval=approved.astype(np.int64))


def approval_probability(columns: dict[str, NDArray[Any]]) -> Floats:
    """How likely the bank says yes, from the complete features: arrays of shape (rows,), the result too.

    A good credit score helps, less and less the better it is; an instalment that is high for the income hurts, twice
    as much after a default; the very young and those near retirement have it harder, and so have the owners of many
    accounts.
    """
    score = (columns["Credit_Score"] - 301) / 548
    instalment = columns["Loan_Amount"] / columns["Loan_Duration_Years"]
    burden = np.log(instalment / columns["Annual_Income"]) + 3.9
    defaulted = columns["Had_Past_Default"]
    age = (columns["Age"] - 44) / 25
    many_accounts = np.maximum(columns["Number_of_Open_Accounts"] - 9, 0)
    evidence = (
        6.5 * np.sqrt(score)
        - 0.9 * burden * (1 + defaulted)
        - 2.2 * defaulted
        - 2.2 * age**2
        - 0.5 * many_accounts
        - 3.1
    )
    probability: Floats = 1 / (1 + np.exp(-evidence))
    return probability


def _whole_numbers(uniform: Floats, smallest: int, largest: int) -> NDArray[np.int64]:
    return (smallest + np.floor(uniform * (largest - smallest + 1))).astype(np.int64)


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description="Makes a CSV file of loan applications.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    loan_records(chosen.rows, chosen.seed).to_csv(chosen.out, lineterminator="\n")


if __name__ == "__main__":
    main()

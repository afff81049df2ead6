"""Makes borrowers that nobody ever met, and `credit_risk.csv` beside this file.

    python data/make_credit_risk.py
    python data/make_credit_risk.py --rows 150000 --out /tmp/credit_risk.csv

The columns, their names, their long tails and their missing values are like those of the public table "Give Me Some
Credit": an index without a name, NA for what is missing, a ratio that is an amount where the income is missing, and 98
where a bureau would not say how often somebody was late. The target is not theirs: here it follows from the features.
About 7 of 100 borrowers get into serious trouble; who knew `trouble_probability` could reach a ROC AUC of 0.86.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

ROWS = 8_000
SEED = 20_261_121
FILE = Path(__file__).with_name("credit_risk.csv")

MISSING_INCOME_SHARE = 0.2
MISSING_DEPENDENTS_SHARE = 0.026
# A bureau's code for "we will not say", in all three counts of a record.
NOT_TOLD = 98
NOT_TOLD_SHARE = 0.002
LATE = {
    "NumberOfTime30-59DaysPastDueNotWorse": (1.3, 0.6),
    "NumberOfTime60-89DaysPastDueNotWorse": (2.1, 0.6),
    "NumberOfTimes90DaysLate": (2.05, 0.55),
}

Floats = NDArray[np.float64]


class Draws:
    """Random numbers, made of uniform ones only: their stream is the same in all versions of numpy."""

    def __init__(self, rows: int, seed: int) -> None:
        self._rows = rows
        self._random = np.random.Generator(np.random.PCG64(seed)).random

    def uniform(self) -> Floats:
        """Between 0 and 1."""
        return self._random(self._rows)

    def normal(self) -> Floats:
        """Of mean 0 and deviation 1 (Box and Muller, 1958)."""
        drawn: Floats = np.sqrt(-2 * np.log(1 - self.uniform())) * np.cos(2 * np.pi * self.uniform())
        return drawn

    def long_tail(self, steepness: float) -> Floats:
        """From 1 upwards without an end (Pareto)."""
        drawn: Floats = (1 - self.uniform()) ** (-1 / steepness)
        return drawn


def credit_records(rows: int, seed: int, first_id: int = 1) -> pd.DataFrame:
    """Borrowers, the same for the same arguments.

    Args:
        rows: How many.
        seed: Seed of everything random.
        first_id: Index of the first record; the others count on from it.

    Returns:
        The table as the CSV file has it: the index is the record's id and has no name.
    """
    draws = Draws(rows, seed)
    carelessness = draws.normal()
    income, without_income = _income(draws, carelessness)
    columns: dict[str, NDArray[Any]] = {
        "RevolvingUtilizationOfUnsecuredLines": _utilization(draws, carelessness),
        "age": np.clip(np.floor(52 - 3 * carelessness + 14 * draws.normal()), 21, 105),
        "DebtRatio": _debt_ratio(draws, carelessness),
        "MonthlyIncome": income,
        "NumberOfOpenCreditLinesAndLoans": np.floor(np.exp(1.95 + 0.55 * draws.normal())),
        "NumberRealEstateLoansOrLines": np.floor(0.35 * draws.long_tail(1.6)),
        "NumberOfDependents": np.floor(np.maximum(0, 0.4 + 1.25 * draws.normal())),
        **_late(draws, carelessness),
    }
    troubled = draws.uniform() < trouble_probability(columns)
    without_dependents = draws.uniform() < MISSING_DEPENDENTS_SHARE
    return _table(columns, troubled, without_income, without_dependents, first_id)


def trouble_probability(columns: dict[str, NDArray[Any]]) -> Floats:
    """How likely a borrower gets into serious trouble, from the complete features: arrays of shape (rows,).

    Having been late counts most, the later the more; so does a card that is used up. What is left of the income after
    its debts are served protects, and so does age; dependents cost.
    """
    thirty, sixty, ninety = (np.where(columns[name] == NOT_TOLD, 2, columns[name]) for name in LATE)
    lateness = np.log1p(0.1 * thirty + 0.2 * sixty + 0.7 * ninety) + 0.25 * np.log1p(thirty + sixty + ninety)
    left_over = columns["MonthlyIncome"] * (1 - columns["DebtRatio"])
    evidence = (
        2.6 * lateness
        + 2.3 * np.minimum(columns["RevolvingUtilizationOfUnsecuredLines"], 1.3)
        - 0.6 * np.tanh(left_over / 4000)
        - 0.022 * (columns["age"] - 52)
        + 0.08 * np.minimum(columns["NumberOfDependents"], 5)
        - 4.15
    )
    probability: Floats = 1 / (1 + np.exp(-evidence))
    return probability


def _utilization(draws: Draws, carelessness: Floats) -> Floats:
    used = 1 / (1 + np.exp(1.3 - 0.8 * carelessness - 1.6 * draws.normal()))
    beyond = draws.uniform()
    used = np.where(beyond < 0.025, 1 + 0.2 * draws.long_tail(2), used)
    return np.where(beyond < 0.0015, 100 * draws.long_tail(0.9), used)


def _income(draws: Draws, carelessness: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    income = np.round(np.exp(8.6 - 0.1 * carelessness + 0.6 * draws.normal()))
    income = np.where(draws.uniform() < 0.004, np.round(income * draws.long_tail(1.1)), income)
    return np.where(draws.uniform() < 0.011, 0, income), draws.uniform() < MISSING_INCOME_SHARE


def _debt_ratio(draws: Draws, carelessness: Floats) -> Floats:
    ratio: Floats = np.exp(-1.15 + 0.12 * carelessness + 0.8 * draws.normal())
    return np.where(draws.uniform() < 0.003, ratio * draws.long_tail(0.8), ratio)


def _late(draws: Draws, carelessness: Floats) -> dict[str, Floats]:
    not_told = draws.uniform() < NOT_TOLD_SHARE
    counts = {}
    for name, (threshold, step) in LATE.items():
        above = carelessness + 0.8 * draws.normal() - threshold
        counts[name] = np.where(not_told, NOT_TOLD, np.where(above > 0, 1 + np.floor(above / step), 0))
    return counts


def _table(
    columns: dict[str, NDArray[Any]],
    troubled: NDArray[np.bool_],
    without_income: NDArray[np.bool_],
    without_dependents: NDArray[np.bool_],
    first_id: int,
) -> pd.DataFrame:
    frame = pd.DataFrame(columns, index=pd.RangeIndex(first_id, first_id + len(troubled)))
    # Without an income there is nothing to divide by: what stands there is the amount.
    amount = np.round(frame["DebtRatio"] * frame["MonthlyIncome"])
    frame["DebtRatio"] = frame["DebtRatio"].round(9).where(~without_income, amount)
    frame["RevolvingUtilizationOfUnsecuredLines"] = frame["RevolvingUtilizationOfUnsecuredLines"].round(9)
    whole = [name for name in frame if name not in {"DebtRatio", "RevolvingUtilizationOfUnsecuredLines"}]
    frame = frame.astype(dict.fromkeys(whole, "Int64"))
    frame.loc[without_income, "MonthlyIncome"] = pd.NA
    frame.loc[without_dependents, "NumberOfDependents"] = pd.NA
    frame.insert(0, "SeriousDlqin2yrs", troubled.astype(np.int64))
    return frame[PUBLIC_ORDER]


PUBLIC_ORDER = [
    "SeriousDlqin2yrs",
    "RevolvingUtilizationOfUnsecuredLines",
    "age",
    "NumberOfTime30-59DaysPastDueNotWorse",
    "DebtRatio",
    "MonthlyIncome",
    "NumberOfOpenCreditLinesAndLoans",
    "NumberOfTimes90DaysLate",
    "NumberRealEstateLoansOrLines",
    "NumberOfTime60-89DaysPastDueNotWorse",
    "NumberOfDependents",
]


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(description="Makes a CSV file of borrowers.")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--out", type=Path, default=FILE)
    chosen = parser.parse_args()
    credit_records(chosen.rows, chosen.seed).to_csv(chosen.out, lineterminator="\n", na_rep="NA")


if __name__ == "__main__":
    main()

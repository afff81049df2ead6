"""How many times as many records are equal as by chance, in tables with copies and without: what the rule stands on.

python -m benchmarks.copies
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from modelyard.authoring.splits import BEYOND_CHANCE, beyond_chance
from modelyard.split import numbered

RECORDS = (500, 2000, 10_000)
SEED = 1

Columns = list[NDArray[np.intp]]
Maker = Callable[[int, np.random.Generator], Columns]


def passengers(records: int, generator: np.random.Generator) -> Columns:
    """Three columns as the Titanic's passengers have."""
    cabin = generator.choice(4, records, p=[0.15, 0.13, 0.32, 0.40])
    male = generator.random(records) < np.array([0.55, 0.63, 0.72, 0.97])[cabin]
    adult = generator.random(records) < np.array([0.98, 0.92, 0.89, 1.0])[cabin]
    return [numbered(column) for column in (cabin, male, adult)]


def passengers_in_two_ways(records: int, generator: np.random.Generator) -> Columns:
    """The same with a column for each class, so that each follows from the others."""
    cabin, male, adult = passengers(records, generator)
    return [*(numbered(cabin == number) for number in range(4)), male, numbered(male == 0), adult]


def drawn(columns: int, values: int, records: int, generator: np.random.Generator) -> Columns:
    """Columns of so many values that have nothing to do with each other."""
    return [generator.integers(0, values, records) for _ in range(columns)]


def of_one_mood(columns: int, values: int, share: float, records: int, generator: np.random.Generator) -> Columns:
    """Columns that repeat a hidden one in that share of the records."""
    mood = generator.integers(0, values, records)
    others = drawn(columns, values, records, generator)
    return [np.where(generator.random(records) < share, mood, other) for other in others]


def ages_and_incomes(records: int, generator: np.random.Generator) -> Columns:
    """An age, an income that nearly follows from it, and a sex."""
    age = generator.integers(18, 90, records)
    return [age, age // 5 + generator.integers(0, 3, records), generator.integers(0, 2, records)]


def one_number(records: int, generator: np.random.Generator) -> Columns:
    """A number with two decimals, and four columns of three values."""
    return [numbered(generator.normal(size=records).round(2)), *drawn(4, 3, records, generator)]


TABLES: Mapping[str, Maker] = {
    "passengers": passengers,
    "passengers, a column for each class": passengers_in_two_ways,
    "2 columns of 72 values": lambda *given: drawn(2, 72, *given),
    "age, income, sex": ages_and_incomes,
    "10 columns repeat one of 3 values in 90 %": lambda *given: of_one_mood(10, 3, 0.9, *given),
    "10 columns repeat one of 3 values in 97 %": lambda *given: of_one_mood(10, 3, 0.97, *given),
    "6 columns repeat one of 8 values in 90 %": lambda *given: of_one_mood(6, 8, 0.9, *given),
    "5 columns of numbers": lambda *given: drawn(5, 10**6, *given),
    "10 columns of 10 values": lambda *given: drawn(10, 10, *given),
    "20 columns of 5 values": lambda *given: drawn(20, 5, *given),
    "a number of 2 decimals, 4 columns of 3 values": one_number,
}


def measure() -> dict[str, list[float]]:
    """How many times as many pairs are equal as by chance: without copies and with them, for each number of records."""
    found: dict[str, list[float]] = {}
    for name, make in TABLES.items():
        found[name] = []
        for records in RECORDS:
            columns = [numbered(column) for column in make(records, np.random.default_rng([SEED, records]))]
            half = np.arange(records) // 2
            found[name] += [beyond_chance(columns), beyond_chance([column[half] for column in columns])]
    return found


def show(measured: Mapping[str, list[float]]) -> Table:
    """The measurement as a table."""
    title = f"Equal records: times as many as by chance (copies from {BEYOND_CHANCE} on)"
    heads = [f"{records}{what}" for records in RECORDS for what in ("", " with copies")]
    table = Table("columns", *heads, title=title)
    for name, ratios in measured.items():
        table.add_row(name, *(f"{ratio:.3g}" for ratio in ratios))
    return table


if __name__ == "__main__":
    Console(width=160).print(show(measure()))

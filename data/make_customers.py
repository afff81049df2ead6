"""Makes customers of a phone company, some of whom left: a table to try `modelyard new` with. They describe nobody.

Run as `python data/make_customers.py [ROWS [SEED]] > customers.csv`.
"""

import csv
import random
import sys
from collections.abc import Iterator

HEADER = (
    "customer_id",
    "Months as customer",
    "Monthly fee (EUR)",
    "calls to support",
    "contract",
    "town",
    "paperless?",
    "joined on",
    "churned",
)
ROWS, SEED = 3000, 7
CONTRACTS = {"monthly": 1.6, "one year": 0.0, "two years": -1.4}
TOWNS = [f"{first}{last}" for first in ("Nord", "Süd", "Ober", "Alt", "Neu") for last in ("bach", "dorf", "tal")]


def customers(rows: int, seed: int) -> Iterator[list[object]]:
    """So many customers, the same for the same seed."""
    generator = random.Random(seed)  # noqa: S311 (keeps no secret)
    return (customer(number, generator) for number in range(1, rows + 1))


def customer(number: int, generator: random.Random) -> list[object]:
    """One customer, in the order of the header."""
    months, fee, calls = generator.randint(1, 72), generator.uniform(15, 110), generator.randint(0, 8)
    contract = generator.choice(list(CONTRACTS))
    odds = CONTRACTS[contract] + fee / 30 + calls / 3 - months / 14 - 1.5 + generator.gauss(0, 1)
    return [
        f"C{number:05d}",
        months if generator.random() > 0.04 else "",
        f"{fee:.2f}",
        calls,
        contract,
        generator.choice(TOWNS),
        generator.choice(("yes", "no")),
        f"20{generator.randint(10, 25)}-{generator.randint(1, 12):02d}-{generator.randint(1, 28):02d}",
        "yes" if odds > 0 else "no",
    ]


def main(arguments: list[str]) -> None:
    """Writes the table to standard output."""
    rows, seed = (*map(int, arguments), *(ROWS, SEED)[len(arguments) :])
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(customers(rows, seed))


if __name__ == "__main__":
    main(sys.argv[1:])

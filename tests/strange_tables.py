"""Tables that nobody has declared, made anew from a seed: what people bring to `modelyard new`."""

import csv
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

Cell = str | int | float | bool | None

NAMES = ("Anna", "Bjørn", "Çelik", "Dvořák", "Eßer", "François", "Gül", "Håkon", "Íñigo", "Jürgen", "李", "Мария")
# 1,234.5 becomes 1.234,5.
GERMAN = str.maketrans(".,", ",.")
CITIES = [f"{stem}{end}" for stem in ("Alt", "Neu", "Bad ", "St. ", "Groß-", "Klein ") for end in map(str, range(60))]


class Strange(NamedTuple):
    """A table.

    Attributes:
        header: The names of its columns.
        row: Makes a row of a number, with random numbers of the table's own.
        target: The column to predict.
        key: The column that identifies a row, if one does.
        separator: Of the columns.
    """

    header: Sequence[str]
    row: Callable[[int, random.Random], Sequence[Cell]]
    target: str
    key: str | None
    separator: str = ","

    def write(self, file: Path, rows: int, seed: int = 1) -> Path:
        """Writes it as CSV."""
        generator = random.Random(seed)
        with file.open("w", encoding="utf-8", newline="") as output:
            writer = csv.writer(output, delimiter=self.separator)
            writer.writerow(self.header)
            writer.writerows(self._rows(rows, generator))
        return file

    def _rows(self, rows: int, generator: random.Random) -> Iterator[Sequence[Cell]]:
        return (self.row(number, generator) for number in range(rows))


def _churn(number: int, generator: random.Random) -> list[Cell]:
    months, calls = generator.randint(1, 72), generator.randint(0, 9)
    fee = round(generator.uniform(20, 120), 2)
    plan = generator.choice(("basic", "plus", "pro"))
    odds = fee / 25 + calls - months / 8 + 2 * (plan == "basic") + generator.gauss(0, 1.5)
    left = odds > 2
    return [
        f"C-{number:06d}",
        generator.choice(NAMES) + str(number),
        None if generator.random() < 0.1 else months,
        "NA" if generator.random() < 0.05 else fee,
        calls,
        plan,
        generator.choice(CITIES),
        generator.choice(("ja", "nein", "")),
        f"20{generator.randint(10, 25)}-{generator.randint(1, 12):02d}-{generator.randint(1, 28):02d}",
        "EU",
        number + 1,
        generator.randint(0, 9),
        generator.choice(("a", "b")),
        "gone" if left else "here",
        "yes" if left else "no",
    ]


CHURN = Strange(
    header=(
        "Customer ID",
        "Name",
        "Dauer (Monate)",
        "Gebühr [€]",
        "2nd line calls",
        "class",
        "Stadt/Ort",
        "Werbung?",
        "signed up",
        "region",
        "",
        "request_id",
        "line",
        "status",
        "Churned",
    ),
    row=_churn,
    target="Churned",
    key="Customer ID",
)


def _flowers(_: int, generator: random.Random) -> list[Cell]:
    kind = generator.choice(("rosa", "viola", "菊"))
    size = {"rosa": 3.0, "viola": 5.0, "菊": 7.0}[kind] + generator.gauss(0, 1.2)
    return [
        round(size, 3),
        round(size / 2 + generator.gauss(0, 0.8), 3),
        "TRUE" if generator.random() < 0.3 else "FALSE",
        generator.choice(("Süd", "Nord", "Süd-West")),
        kind,
    ]


FLOWERS = Strange(
    header=("Länge", "länge", "Wild", "Lage", "Blüte"),
    row=_flowers,
    target="Blüte",
    key=None,
)


def _flats(number: int, generator: random.Random) -> list[Cell]:
    area, rooms = generator.uniform(20, 180), generator.randint(1, 7)
    place = generator.randrange(len(CITIES))
    rent = 6 * area + 40 * rooms + place + generator.gauss(0, 60)
    return [
        10_000 + number,
        f"{area:.1f}".replace(".", ","),
        rooms,
        CITIES[place],
        generator.choice((0, 1)),
        "" if generator.random() < 0.3 else generator.randint(1900, 2024),
        f"{rent:,.2f}".translate(GERMAN),
    ]


FLATS = Strange(
    header=("flat_id", "area (m²)", "rooms", "district", "has lift", "year built", "rent (EUR)"),
    row=_flats,
    target="rent (EUR)",
    key="flat_id",
    separator=";",
)

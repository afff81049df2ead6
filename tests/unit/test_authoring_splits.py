"""What `modelyard new` proposes where records stand together, and where they do not."""

import csv
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.authoring import columns
from modelyard.authoring.declaration import declaration
from modelyard.authoring.draft import Draft, Question, assumptions, doubts, draft_of
from modelyard.authoring.splits import has_copies
from modelyard.catalog import find_use_case
from modelyard.sources import csv_file
from modelyard.split import numbered
from modelyard.use_case import Split, UseCase

Row = dict[str, object]
Coded = list[NDArray[np.intp]]
FIRST_DAY = datetime.fromisoformat("2026-01-01")


def proposed(folder: Path, rows: list[Row], key: str | None = "order_id") -> tuple[Draft, UseCase]:
    """The draft, and the use case as its file says it."""
    file = folder / "orders.csv"
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draft = draft_of(Question("mine", str(file), "returned", key, None, 0.05))
    (folder / "mine.py").write_text(declaration(draft, "orders.csv"), encoding="utf-8")
    return draft, find_use_case("mine", folder)


def orders(customers: int = 200, each: int = 5) -> list[Row]:
    """Orders of customers: one feature and the target are the customer's, the amount is the order's."""
    drawn = np.random.default_rng(0)
    made: list[Row] = []
    for customer in range(customers):
        age, returned = int(drawn.integers(18, 90)), int(drawn.integers(2))
        for order in range(each):
            own = {"order_id": f"o{customer}-{order}", "Customer No.": f"c{customer:04}", "age": age}
            made.append(own | {"amount": round(float(drawn.normal()), 4), "returned": returned})
    return made


def test_a_column_that_comes_again_with_the_same_other_values_is_a_group(tmp_path: Path) -> None:
    draft, use_case = proposed(tmp_path, orders())
    assert use_case.split == Split(by="customer_no", aliases={"customer_no": ("Customer No.",)})
    assert [feature.name for feature in use_case.features] == ["age", "amount"]
    assert any("all records of one are in the same part" in sentence for sentence in assumptions(draft))
    assert "# 'Customer No.' repeats with the same values in other columns" in declaration(draft, "orders.csv")


@pytest.mark.parametrize("each", [1, 2, 5])
def test_a_group_is_told_where_there_are_too_many_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: int
) -> None:
    monkeypatch.setattr(columns, "MOST_TEXTS", 50)
    monkeypatch.setattr(columns, "SAMPLE_RECORDS", 200)
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 4096)
    made = orders(2000 // each, each)
    rows = [made[number] for number in np.random.default_rng(1).permutation(len(made))]
    assert proposed(tmp_path, rows)[1].split.by == ("customer_no" if each > 1 else None)


def test_a_code_that_comes_again_with_other_values_is_none(tmp_path: Path) -> None:
    rows = orders()
    numbers = np.random.default_rng(1).permutation(len(rows))
    shuffled = [row | {"Customer No.": rows[number]["Customer No."]} for row, number in zip(rows, numbers, strict=True)]
    assert proposed(tmp_path, shuffled)[1].split == Split()


def dated(rows: list[Row], name: str, day: Callable[[int], int]) -> list[Row]:
    return [row | {name: f"{FIRST_DAY + timedelta(days=day(place)):%Y-%m-%d}"} for place, row in enumerate(rows)]


def alone(count: int = 1000) -> list[Row]:
    drawn = np.random.default_rng(2)
    return [
        {
            "order_id": f"o{number}",
            "amount": round(float(drawn.normal()), 4),
            "weight": round(float(drawn.normal()), 4),
            "returned": int(drawn.integers(2)),
        }
        for number in range(count)
    ]


def test_a_column_of_times_is_what_the_split_goes_by(tmp_path: Path) -> None:
    draft, use_case = proposed(tmp_path, dated(alone(), "Ordered on", lambda place: place // 10))
    assert use_case.split == Split(time="ordered_on", validation="10d", test="19d")
    assert any("the newest 19 days are for the test" in sentence for sentence in assumptions(draft))


def test_a_few_records_without_group_or_time_hide_neither(tmp_path: Path) -> None:
    rows = dated(orders(), "ordered_on", lambda place: place // 10)
    for place, (name, text) in enumerate((("Customer No.", ""), ("ordered_on", ""), ("ordered_on", "9999-12-31"))):
        rows[place] = rows[place] | {name: text}
    draft, use_case = proposed(tmp_path, rows)
    assert (use_case.split.by, use_case.split.time) == ("customer_no", "ordered_on")
    assert (use_case.split.validation, use_case.split.test) == ("10d", "19d")
    assert any("About 2 of 1000 records cannot be used" in sentence for sentence in doubts(draft, 0.05))
    many = [row | ({"ordered_on": ""} if place % 30 == 0 else {}) for place, row in enumerate(rows)]
    assert proposed(tmp_path, many)[1].split.time is None


def test_of_two_columns_of_times_none_is_taken(tmp_path: Path) -> None:
    rows = dated(dated(alone(), "ordered_on", lambda place: place // 10), "sent_on", lambda place: place // 9)
    draft, use_case = proposed(tmp_path, rows)
    assert use_case.split == Split()
    assert any("'ordered_on', 'sent_on' hold times" in sentence for sentence in doubts(draft, 0.05))


def test_a_birthday_is_no_time_of_a_record(tmp_path: Path) -> None:
    assert proposed(tmp_path, dated(alone(), "date_of_birth", lambda place: place // 10))[1].split == Split()


@pytest.mark.parametrize(
    ("day", "by_time"), [(lambda place: place // 10, True), (lambda place: place % 5 * 20 + place % 7, False)]
)
def test_by_group_and_time_is_proposed_where_enough_records_are_left(
    tmp_path: Path, day: Callable[[int], int], by_time: bool
) -> None:
    draft, use_case = proposed(tmp_path, dated(orders(), "ordered_on", day))
    assert use_case.split.by == "customer_no"
    assert (use_case.split.time == "ordered_on") is by_time
    assert by_time or any("leaves too few records" in sentence for sentence in doubts(draft, 0.05))


def test_copies_are_told_and_stay_together(tmp_path: Path) -> None:
    rows = [row | {"order_id": f"{row['order_id']}-{copy}"} for row in alone(300) for copy in range(2)]
    draft, use_case = proposed(tmp_path, rows)
    assert use_case.split.by_content
    assert any("More records have equal features" in sentence for sentence in assumptions(draft))
    assert not proposed(tmp_path, alone(600))[1].split.by_content


def passengers() -> Coded:
    drawn = np.random.default_rng(3)
    cabin = drawn.choice(4, 2201, p=[0.15, 0.13, 0.32, 0.40])
    male = drawn.random(2201) < np.array([0.55, 0.63, 0.72, 0.97])[cabin]
    adult = drawn.random(2201) < np.array([0.98, 0.92, 0.89, 1.0])[cabin]
    return [numbered(column) for column in (cabin, male, adult)]


def in_two_ways() -> Coded:
    cabin, male, adult = passengers()
    return [*(numbered(cabin == number) for number in range(4)), male, numbered(male == 0), adult]


def of_one_mood() -> Coded:
    drawn = np.random.default_rng(4)
    mood = drawn.integers(0, 8, 2000)
    return [numbered(np.where(drawn.random(2000) < 0.9, mood, drawn.integers(0, 8, 2000))) for _ in range(6)]


@pytest.mark.parametrize("make", [passengers, in_two_ways, of_one_mood])
def test_where_values_are_few_equal_records_are_no_copies(make: Callable[[], Coded]) -> None:
    assert not has_copies(make())


@pytest.mark.parametrize("values", [5, 10, 1000])
def test_copies_are_told_among_columns_of_many_or_few_values(values: int) -> None:
    drawn = np.random.default_rng(5)
    columns = [drawn.integers(0, values, 1000) for _ in range(20 if values == 5 else 8)]
    assert not has_copies(columns)
    assert has_copies([np.concatenate([column, column[:50]]) for column in columns])

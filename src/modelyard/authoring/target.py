"""What is predicted: the kind of task and the classes, from the target's column."""

from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from modelyard.authoring.columns import Column, Table
from modelyard.authoring.notation import PLAINLY, odd_numbers
from modelyard.contract import Label, TaskKind
from modelyard.errors import BadInput
from modelyard.sources.values import NO_VALUE

# Whole numbers of so many different values are taken for classes, of more for amounts.
MOST_NUMBERED_CLASSES = 10
MOST_CLASSES = 100
# A class is judged by its records in each part; with fewer in all, one of the parts may have none.
FEWEST_OF_A_CLASS = 20
YES = frozenset({"yes", "y", "true", "t", "1", "1.0", "ja", "oui", "si", "sí", "sim", "positive", "pos"})


@dataclass(frozen=True)
class Goal:
    """What is predicted.

    Attributes:
        column: Its column.
        kind: The kind of task.
        why: Why it is of that kind, as the rest of a sentence.
        classes: The classes of a classification; of two, the second is positive.
        left_out: Classes with too few records, which are set aside when they are loaded.
    """

    column: Column
    kind: TaskKind
    why: str
    classes: tuple[Label, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def are_numbers(self) -> bool:
        """Whether the classes are whole numbers."""
        return bool(self.classes) and all(isinstance(label, int) for label in self.classes)

    def count(self, label: Label) -> int:
        """How many records are of a class."""
        texts = self.column.texts
        if isinstance(label, str):
            return texts[label]
        return sum(count for text, count in texts.items() if self.column.number(text) == label)


def goal_of(table: Table, name: str, kind: TaskKind | None, allowed_bad_share: float) -> Goal:
    """What is predicted, as far as the target's column shows it.

    Args:
        table: The table.
        name: The target's column.
        kind: What the user says it is; None: what it looks like.
        allowed_bad_share: With a larger share of bad records, nothing would be loaded.

    Raises:
        BadInput: It cannot be predicted; the message says why and what to do.
    """
    column = table.column(name)
    without = column.empty + column.unwritten
    if without > allowed_bad_share * table.records:
        raise BadInput(
            f"{without} of {table.records} records have no {name!r}: a model learns from records whose outcome is "
            "known, so leave the others out of the file"
        )
    if column.different < 2:
        raise BadInput(f"{name!r} is the same in every record: there is nothing to learn")
    wanted, why = (kind, "you said so") if kind else _kind_of(column)
    if wanted is TaskKind.REGRESSION:
        return _amount(column, why)
    return _classes(table, column, wanted, why, allowed_bad_share)


def _kind_of(column: Column) -> tuple[TaskKind, str]:
    values = _values(column)
    if len(values) == 2 and column.all_counted:
        return TaskKind.BINARY, "it has two different values"
    if not column.is_number:
        return TaskKind.MULTICLASS, f"it has {len(values)} different texts"
    if column.whole and column.all_counted and len(values) <= MOST_NUMBERED_CLASSES:
        return TaskKind.MULTICLASS, f"it has {len(values)} different whole numbers"
    if are_few_fractions(column):
        return TaskKind.REGRESSION, f"it has {len(values)} different numbers, not all of them whole"
    return TaskKind.REGRESSION, "it is a number with many different values"


def are_few_fractions(column: Column) -> bool:
    """Whether it has so few different numbers that they may be classes, but for their decimals."""
    return column.is_number and not column.whole and len(_values(column)) <= MOST_NUMBERED_CLASSES


def _amount(column: Column, why: str) -> Goal:
    if not column.is_number:
        _check_notation(column)
        comma = ", or has a comma where a point belongs" if "," in column.stray else ""
        raise BadInput(f"{column.name!r} cannot be predicted as a number: {column.stray!r} is no usable one{comma}")
    if column.minimum == column.maximum:
        raise BadInput(f"{column.name!r} is the same in every record: there is nothing to learn")
    return Goal(column, TaskKind.REGRESSION, why)


def _classes(table: Table, column: Column, kind: TaskKind, why: str, allowed_bad_share: float) -> Goal:
    values = _values(column)
    if not column.all_counted or len(values) > MOST_CLASSES:
        _check_notation(column)
        many = f"more than {MOST_CLASSES}" if column.all_counted else "very many"
        raise BadInput(
            f"{column.name!r} has {many} different values in {table.records} records: too many to tell apart; "
            "is it the right column?"
        )
    kept, rare = _without_rare(values, column, allowed_bad_share)
    found = TaskKind.BINARY if len(kept) == 2 else TaskKind.MULTICLASS
    if found is not kind and rare:
        kept, rare = values, []
        found = TaskKind.BINARY if len(kept) == 2 else TaskKind.MULTICLASS
    if found is not kind or len(kept) < 2:
        raise BadInput(f"{column.name!r} has {len(kept)} different values: that is no {kind} task")
    return Goal(column, kind, why, _labels(column, kept), tuple(rare))


def _check_notation(column: Column) -> None:
    if odd := odd_numbers(list(column.texts)):
        raise BadInput(f"{column.name!r} holds {odd}: {PLAINLY}")


def _values(column: Column) -> list[str]:
    """The different values, as they stand in the file; of numbers, each once however it is written."""
    if not column.is_number:
        return sorted(column.texts)
    texts = [text for text in column.texts if text not in NO_VALUE]
    if not column.whole:
        return sorted(texts)
    texts.sort(reverse=True)
    numbers = dict(zip(column.numbers(pa.array(texts)).values.to_pylist(), texts, strict=True))
    return [numbers[number] for number in sorted(number for number in numbers if number is not None)]


def _without_rare(values: list[str], column: Column, allowed_bad_share: float) -> tuple[list[str], list[str]]:
    if len(values) < 4:
        return values, []
    rare = [value for value in values if column.texts[value] < FEWEST_OF_A_CLASS]
    share = sum(column.texts[value] for value in rare) / column.records
    # Half of what a load allows: other records may be bad, too.
    return ([value for value in values if value not in rare], rare) if share <= allowed_bad_share / 2 else (values, [])


def _labels(column: Column, values: list[str]) -> tuple[Label, ...]:
    labels: list[Label] = list(values)
    if column.is_number and column.whole:
        labels = [int(column.number(value) or 0) for value in values]
    return tuple(sorted(labels, key=_positive_last(column))) if len(labels) == 2 else tuple(labels)


def _positive_last(column: Column) -> Callable[[Label], tuple[bool, float]]:
    def place(label: Label) -> tuple[bool, float]:
        is_yes = str(label).strip().lower() in YES
        # Where no word says which is meant, it is the larger number or the rarer text.
        return is_yes, label if isinstance(label, int) else -column.texts[label]

    return place

"""Records of a table that are asked about: one JSON object each."""

from collections.abc import Iterator, Sequence
from typing import Any

from modelyard.contract import Arrays, Contract, Record
from services.api.inputs.base import Question, check_is_json
from services.api.inputs.json_record import RecordReader


class TableReader:
    """Reads one record of a table as a JSON object.

    Args:
        contract: What the model takes.
    """

    takes_files = False

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._records = RecordReader(contract)
        self._usual = Usual(contract)

    def read(self, body: bytes, content_type: str) -> Question:
        """The question in a body of JSON."""
        check_is_json(content_type)
        record, key = self._records.read(body)
        return Question(record, key)

    def read_all(self, body: bytes, content_type: str, most: int) -> Iterator[list[Question]]:
        """The questions in a JSON array."""
        check_is_json(content_type)
        for records in self._records.read_all(body, most):
            yield [Question(record, key) for record, key in records]

    def arrays(self, questions: Sequence[Question]) -> Arrays:
        """A column of shape (questions, 1) for each feature."""
        return self._contract.to_arrays([question.record for question in questions])

    def warnings(self, question: Question) -> list[str]:
        """A sentence for each value that the model has never seen the like of."""
        return [] if self._usual.holds(question.record) else self._contract.warnings(question.record)


class Usual:
    """Tells quickly that there is nothing to say of a record, as there is of most.

    Args:
        contract: Knows what the training part held.
    """

    def __init__(self, contract: Contract) -> None:
        seen = [(feature, feature.seen) for feature in contract.features if feature.seen]
        self._ranges = [
            (feature.name, seen.minimum, seen.maximum)
            for feature, seen in seen
            if feature.is_numeric and seen.minimum is not None and seen.maximum is not None
        ]
        self._known = [(feature.name, frozenset(seen.shares)) for feature, seen in seen if not feature.is_numeric]

    def holds(self, record: Record) -> bool:
        """Whether the contract has no warning of a record."""
        for name, low, high in self._ranges:
            number: Any = record.get(name)
            if number is not None and not low <= number <= high:
                return False
        for name, known in self._known:
            text = record.get(name)
            if text is not None and text not in known:
                return False
        return True

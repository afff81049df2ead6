"""What is asked of a model: how the body of a request becomes a question, whatever kind of input the model takes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from modelyard.contract import Arrays, Contract, Record
from services.api.errors import InvalidRequest, Problem
from services.api.inputs.json_record import RecordReader

JSON = "application/json"


class Question(NamedTuple):
    """A record that a prediction is asked for.

    Attributes:
        record: The features as they are kept with the answer.
        key: What names the record, if something does.
        arrays: The model's inputs of this one record, where they are not made from `record`.
        remarks: What is remarkable about it, where that is not told from `record`.
    """

    record: dict[str, Any]
    key: str | None = None
    arrays: Arrays | None = None
    remarks: tuple[str, ...] = ()


class Reader(Protocol):
    """Reads the bodies of requests for one version of a model.

    Attributes:
        takes_files: Whether bodies are large, and reading and answering one takes so long that others should not wait.
    """

    takes_files: bool

    def read(self, body: bytes, content_type: str) -> Question:
        """The question in a body.

        Raises:
            InvalidRequest: It has none that the contract allows; the problems say why.
        """

    def read_all(self, body: bytes, content_type: str, most: int) -> Iterator[list[Question]]:
        """The questions in a body that has many: some at a time, as others have their turn in between.

        Raises:
            InvalidRequest: One of them is none that the contract allows; the problems say which and why.
        """

    def arrays(self, questions: Sequence[Question]) -> Arrays:
        """The model's inputs of some questions, one row for each."""

    def warnings(self, question: Question) -> list[str]:
        """A sentence for each value that the model has never seen the like of."""


def make_reader(contract: Contract) -> Reader:
    """The reader for what a model takes."""
    if contract.features[0].is_image:
        # Only here: an API without models of pictures need not load their library.
        from services.api.inputs.image import PictureReader

        return PictureReader(contract)
    return TableReader(contract)


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


def is_json(content_type: str) -> bool:
    """Whether a body is said to be JSON."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind == JSON or kind.endswith("+json")


def check_is_json(content_type: str) -> None:
    """Returns when a body is said to be JSON.

    Raises:
        InvalidRequest: It is not. Any page can have a browser send other types, and none, without asking first
            whether it may.
    """
    if not is_json(content_type):
        sentence = f"the body must be JSON, sent with the header Content-Type: {JSON}"
        raise InvalidRequest([Problem(type="content_type", loc=["body"], msg=sentence)])

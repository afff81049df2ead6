"""What is asked of a model: how the body of a request becomes a question, whatever kind of input the model takes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from modelyard.contract import Arrays
from services.api.errors import InvalidRequest, Problem

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

"""How the body of a request becomes a record: checked by a type made from the contract once per model version."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, NotRequired, Optional

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
    with_config,
)
from pydantic_core import ErrorDetails, PydanticKnownError, from_json
from typing_extensions import TypedDict

from modelyard.contract import LARGEST_NUMBER, Contract, Feature, FeatureType, Limits, Value
from modelyard.use_case import moment
from services.api.errors import InvalidRequest, Problem
from services.api.inputs.flat_json import READABLE_BYTES, FlatObjects, NotFlat, without_depth

LARGEST_KEY = 2**63 - 1
LONGEST_KEY = 200
LONGEST_TEXT = 1000
# Postgres keeps every character but this one.
TEXT_PATTERN = r"^[^\u0000]*$"

# Of a character beyond U+FFFF.
LONGEST_ESCAPE = len(r"\ud83d\ude00")
# Of a record, beside its texts: for space, and so that a text that is much too long is still named by its field.
OTHER_BYTES = 128 * 1024

MOST_PROBLEMS = 100
SHOWN_CHARACTERS = 40
SHOWN_NAME = 200
# What a time must be, as the end of a sentence.
TIME = "a date or time in ISO 8601, such as '2026-11-20' or '2026-11-20T10:30:00Z'"

# A record, and what names it when something does.
Named = tuple[dict[str, Value], str | None]


class RecordReader:
    """Reads the bodies of requests.

    Args:
        contract: What the model takes.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        self._features = {feature.name: feature for feature in contract.features}
        self._most_fields = len(contract.features) + len(contract.carried) + 1 + MOST_PROBLEMS
        self._largest_bytes = _largest_bytes(contract)
        self._flat = FlatObjects(self._most_fields, self._largest_bytes)
        record = _body_type(contract)
        self._body: TypeAdapter[dict[str, Any]] = TypeAdapter(record)
        self._bodies: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[record])  # type: ignore[valid-type]

    def read(self, body: bytes) -> Named:
        """The record in a JSON body, and its key when it has one.

        Raises:
            InvalidRequest: The body is not JSON, or not a record that the contract allows; names every such field.
        """
        try:
            record = self._body.validate_json(body if self._flat.is_one(body) else without_depth(body, 1))
        except NotFlat:
            sentence = f"the body must be one JSON object {self._flatness()}; {self._fields()}"
            raise InvalidRequest([Problem(type="not_flat", loc=["body"], msg=sentence)]) from None
        except ValidationError as error:
            raise InvalidRequest(self._problems(error)) from None
        return self._without_key(record)

    def read_all(self, body: bytes, most: int) -> Iterator[list[Named]]:
        """The records in a JSON array, each with its key when it has one: some at a time, so that others have turns.

        Args:
            body: The array.
            most: How many records it may have.

        Raises:
            InvalidRequest: The body is not JSON, or not an array of such records; names every such field of those
                that were read until there were too many.
        """
        count = 0
        problems: list[Problem] = []
        try:
            for piece in self._pieces(body):
                records, wrong = self._read_piece(piece, count)
                count += len(records)
                problems += wrong
                if len(problems) > MOST_PROBLEMS:
                    raise InvalidRequest([self._too_many(f"{len(problems)} problems or more")])
                _check_count(count, most)
                yield [] if problems else [self._without_key(record) for record in records]
        except NotFlat:
            sentence = f"record {count}: what comes here must be one JSON object {self._flatness()}"
            problems.append(Problem(type="not_flat", loc=["body", str(count)], msg=sentence))
        if problems:
            raise InvalidRequest(problems)
        _check_count(count, most)

    def _without_key(self, record: dict[str, Value]) -> tuple[dict[str, Value], str | None]:
        key = record.pop(self._contract.key, None) if self._contract.key else None
        return record, None if key is None else str(key)

    def _pieces(self, body: bytes) -> Iterator[bytes]:
        """The records in arrays that are short enough to be read in one call.

        Raises:
            NotFlat: There is something else among them, in a body that is too long to be read as it is.
        """
        pieces = self._flat.split(body)
        if len(body) > READABLE_BYTES:
            return pieces
        try:
            return iter(list(pieces))
        except NotFlat:
            return iter([without_depth(body, 2)])

    def _read_piece(self, piece: bytes, first: int) -> tuple[list[dict[str, Value]], list[Problem]]:
        """The records in a piece, as they came if something is wrong with them, and what that is.

        Raises:
            InvalidRequest: The piece is no array, or has too many problems.
        """
        try:
            return self._bodies.validate_json(piece), []
        except ValidationError as error:
            problems = self._problems(error, first)
            if not all(len(problem["loc"]) > 1 for problem in problems):
                raise InvalidRequest(problems) from None
            return from_json(piece), problems

    def _problems(self, error: ValidationError, first: int | None = None) -> list[Problem]:
        """What is wrong, in a body with many records when it is said which of them is the first one that was read."""
        if error.error_count() > MOST_PROBLEMS:
            return [self._too_many(f"{error.error_count()} problems{'' if first is None else ' or more'}")]
        found = error.errors(include_url=False, include_context=False)
        if first is None:
            return [self._problem(details) for details in found]
        return [self._problem_of_many(details, first) for details in found]

    def _too_many(self, problems: str) -> Problem:
        return Problem(type="too_many_problems", loc=["body"], msg=f"the body has {problems}; {self._fields()}")

    def _problem(self, details: ErrorDetails, form: str = "one JSON object") -> Problem:
        field = [str(part) for part in details["loc"][:1]]
        sentence = self._sentence_of_field(details, field[0]) if field else self._sentence_of_body(details, form)
        return Problem(type=details["type"], loc=["body", *(name[:SHOWN_NAME] for name in field)], msg=sentence)

    def _problem_of_many(self, details: ErrorDetails, first: int) -> Problem:
        if not details["loc"]:
            return self._problem(details, "an array of JSON objects")
        place, *rest = details["loc"]
        number = first + int(place)
        problem = self._problem({**details, "loc": tuple(rest)})
        sentence = problem["msg"] if rest else f"a record must be one JSON object, not {_shown(details['input'])}"
        where = ["body", str(number), *problem["loc"][1:]]
        return Problem(type=problem["type"], loc=where, msg=f"record {number}: {sentence}")

    def _sentence_of_field(self, details: ErrorDetails, name: str) -> str:
        if details["type"] == "missing":
            return f"{name} is missing: it must be {expectation(self._features[name])}"
        if details["type"] == "extra_forbidden":
            return f"{_shown(name)} is not a field of {self._contract.use_case}; {self._fields()}"
        feature = self._features.get(name)
        wanted = expectation(feature) if feature else self._expectation_beside(name)
        return f"{name} must be {wanted}, not {_shown(details['input'])}"

    def _expectation_beside(self, name: str) -> str:
        """What a field must be that is no feature."""
        if name == self._contract.time:
            return TIME
        return f"a whole number or a text of up to {LONGEST_KEY} characters"

    def _sentence_of_body(self, details: ErrorDetails, form: str) -> str:
        if details["type"] == "json_invalid":
            return f"the body is not valid JSON: {details['msg'].removeprefix('Invalid JSON: ')}"
        return f"the body must be {form}, not {_shown(details['input'])}; {self._fields()}"

    def _flatness(self) -> str:
        return f"with no arrays or objects in it, of up to {self._most_fields} fields and {self._largest_bytes} bytes"

    def _fields(self) -> str:
        key = [self._contract.key] if self._contract.key else []
        return f"the fields are: {', '.join(key + self._contract.carried + self._contract.names)}"


def _largest_bytes(contract: Contract) -> int:
    """How long a record can be, with every character as an escape and with space around what is in it."""
    texts = [LONGEST_KEY] * (1 + len(contract.carried)) + [
        0 if each.is_numeric else LONGEST_TEXT for each in contract.features
    ]
    declared = [len(category) for each in contract.features for category in each.categories]
    names = [len(name) for name in contract.names]
    return OTHER_BYTES + LONGEST_ESCAPE * sum([*texts, *declared, *names])


def _check_count(count: int, most: int) -> None:
    if not 0 < count <= most:
        sentence = f"a batch has 1 to {most} records (API_BATCH_LIMIT), and this one has {'more' if count else 'none'}"
        raise InvalidRequest([Problem(type="batch_size", loc=["body"], msg=sentence)])


def expectation(feature: Feature) -> str:
    """What a feature's value must be, as the end of a sentence."""
    return _expectation(feature) + (", or null" if feature.nullable else "")


def bounds(limits: Limits) -> tuple[float, float]:
    """The smallest and the largest number that limits allow and a model can take."""
    low = -LARGEST_NUMBER if limits.minimum is None else limits.minimum
    high = LARGEST_NUMBER if limits.maximum is None else limits.maximum
    return max(low, -LARGEST_NUMBER), min(high, LARGEST_NUMBER)


def _expectation(feature: Feature) -> str:
    match feature.type:
        case FeatureType.NUMBER:
            return "a number" + _limits_in_words(feature)
        case FeatureType.INTEGER:
            return "a whole number" + _limits_in_words(feature)
        case FeatureType.BOOLEAN:
            return "true or false (or 1 or 0)"
        case FeatureType.CATEGORY if feature.categories:
            return f"one of {', '.join(repr(category) for category in feature.categories)}"
        case FeatureType.CATEGORY:
            return f"a text of 1 to {LONGEST_TEXT} characters"
        case FeatureType.IMAGE:
            return "a picture in base64"


def _limits_in_words(feature: Feature) -> str:
    words = [str(feature.valid)] if feature.valid != Limits() else []
    words += [feature.unit] if feature.unit else []
    return f" ({' '.join(words)})" if words else ""


def _body_type(contract: Contract) -> Any:
    fields = {feature.name: _field_type(feature) for feature in contract.features}
    if contract.key:
        fields[contract.key] = NotRequired[Annotated[Any, BeforeValidator(_key)]]
    for name in contract.carried:
        check = _time if name == contract.time else _key
        fields[name] = NotRequired[Annotated[Any, BeforeValidator(check)]]
    # A typed dict, as a feature may have any name, also one that a model class uses itself.
    record = TypedDict("Record", fields)  # type: ignore[misc]
    return with_config(ConfigDict(extra="forbid"))(record)


def _field_type(feature: Feature) -> Any:
    value = _value_type(feature)
    return NotRequired[Optional[value]] if feature.nullable else value  # noqa: UP045 - the type is made at run time


def _value_type(feature: Feature) -> Any:
    low, high = bounds(feature.valid)
    number = Annotated[float, Strict(), Field(ge=low, le=high, allow_inf_nan=False)]
    match feature.type:
        case FeatureType.NUMBER:
            return number
        case FeatureType.INTEGER:
            return Annotated[number, AfterValidator(_whole)]
        case FeatureType.BOOLEAN:
            return Annotated[bool, BeforeValidator(_truth)]
        case FeatureType.CATEGORY if feature.categories:
            return Literal[feature.categories]
        case FeatureType.CATEGORY:
            text = Field(min_length=1, max_length=LONGEST_TEXT)
            return Annotated[str, Strict(), text, AfterValidator(_storable)]
        case FeatureType.IMAGE:
            return Annotated[str, Strict(), Field(min_length=1)]


def _whole(value: float) -> int:
    if not value.is_integer():
        raise PydanticKnownError("int_from_float")
    return int(value)


def _truth(value: object) -> bool:
    # 0 and 1 are what clients of older services send; 2, "true" and null are mistakes.
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise PydanticKnownError("bool_type")


def _storable(text: str) -> str:
    if "\0" in text:
        raise PydanticKnownError("string_pattern_mismatch", {"pattern": TEXT_PATTERN})
    return text


def _key(value: object) -> int | str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= LONGEST_KEY:
        return _storable(value)
    # As in JSON, 7.0 is the number 7.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= LARGEST_KEY:
        return value
    raise PydanticKnownError("string_type")


def _time(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= LONGEST_KEY:
        if not is_time(value):
            raise PydanticKnownError("datetime_parsing", {"error": "no date or time in ISO 8601"})
        return value
    raise PydanticKnownError("string_type")


def is_time(text: str) -> bool:
    """Whether a text is a date or time in ISO 8601, as it is read when records are loaded."""
    try:
        moment(text.strip())
    except ValueError:
        return False
    return True


def _shown(value: object) -> str:
    """A value that came in, in JSON's words and short enough for a sentence."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(value) if len(value) <= SHOWN_CHARACTERS else f"{value[:SHOWN_CHARACTERS]!r}…"
        case int() | float() if abs(value) > LARGEST_NUMBER:
            return "a number that is too large"
        case int() | float():
            return str(value)
        case list():
            return "an array"
        case _:
            return "an object"

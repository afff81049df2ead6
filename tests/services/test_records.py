"""What the body of a request may be: every rule, and that the documentation says the same."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from services.api.inputs.json_record import LONGEST_KEY, LONGEST_TEXT, MOST_PROBLEMS, RecordReader

from modelyard.contract import LARGEST_NUMBER, Contract, Feature, FeatureType, TaskKind
from services.api.errors import InvalidRequest, Problem
from services.api.http.schemas import record_schema
from tests.services.made_models import EVERY_RECORD, LOAN_RECORD, every_type_contract, loan_contract

LOAN = RecordReader(loan_contract())
EVERY_CONTRACT = every_type_contract(TaskKind.BINARY)
EVERY = RecordReader(EVERY_CONTRACT)
NUMBERS = ["annual_income", "loan_amount"]
INTEGERS = ["age", "credit_score", "loan_duration_years", "number_of_open_accounts"]
NULLABLE = ["age", "annual_income", "credit_score", "loan_amount", "number_of_open_accounts"]
REQUIRED = ["loan_duration_years", "had_past_default"]


def read(reader: RecordReader, record: object) -> tuple[dict[str, Any], str | None]:
    return reader.read(json.dumps(record).encode())


def problems(reader: RecordReader, body: bytes) -> list[Problem]:
    with pytest.raises(InvalidRequest) as caught:
        reader.read(body)
    assert caught.value.status == 422
    return caught.value.detail


def the_problem(reader: RecordReader, body: bytes | dict[str, Any], field: str | None) -> str:
    """The sentence of the one problem that a body has, which must be with that field."""
    [problem] = problems(reader, body if isinstance(body, bytes) else json.dumps(body).encode())
    assert problem["loc"] == (["body"] if field is None else ["body", field])
    if field is not None:
        assert problem["msg"].startswith((field, f"'{field}'"))
    return problem["msg"]


def with_token(field: str, token: str) -> bytes:
    """The loan record with something in the place of a field's value that need not be JSON."""
    return json.dumps(LOAN_RECORD | {field: "TOKEN"}).replace('"TOKEN"', token).encode()


def test_a_record_is_read_as_it_is() -> None:
    assert read(LOAN, LOAN_RECORD) == (LOAN_RECORD, None)
    assert read(EVERY, EVERY_RECORD) == (EVERY_RECORD, None)


@pytest.mark.parametrize("field", NULLABLE)
def test_what_is_nullable_may_be_null_or_absent(field: str) -> None:
    assert read(LOAN, LOAN_RECORD | {field: None})[0][field] is None
    without = {name: value for name, value in LOAN_RECORD.items() if name != field}
    assert read(LOAN, without) == (without, None)


@pytest.mark.parametrize("field", REQUIRED)
def test_what_is_required_may_be_neither(field: str) -> None:
    assert "not null" in the_problem(LOAN, LOAN_RECORD | {field: None}, field)
    without = {name: value for name, value in LOAN_RECORD.items() if name != field}
    assert "is missing" in the_problem(LOAN, without, field)


@pytest.mark.parametrize(("field", "limit", "beyond"), [("age", 18, 17), ("age", 120, 121), ("annual_income", 0, -1)])
def test_limits_belong_to_what_is_allowed(field: str, limit: int, beyond: int) -> None:
    assert read(LOAN, LOAN_RECORD | {field: limit})[0][field] == limit
    assert f"not {beyond}" in the_problem(LOAN, LOAN_RECORD | {field: beyond}, field)


def test_the_sentence_says_what_is_allowed() -> None:
    sentence = the_problem(LOAN, LOAN_RECORD | {"age": 7}, "age")
    assert sentence == "age must be a whole number (18 to 120 years), or null, not 7"


@pytest.mark.parametrize("field", [*NUMBERS, *INTEGERS])
@pytest.mark.parametrize("value", ["30", "", True, False, [], [30], {}, {"value": 30}, "NaN", "null"])
def test_a_number_is_nothing_else(field: str, value: object) -> None:
    the_problem(LOAN, LOAN_RECORD | {field: value}, field)


@pytest.mark.parametrize("field", INTEGERS)
def test_an_integer_may_have_a_fraction_of_nothing(field: str) -> None:
    whole = read(LOAN, LOAN_RECORD | {field: float(LOAN_RECORD[field])})[0][field]
    assert whole == LOAN_RECORD[field]
    assert isinstance(whole, int)
    assert "whole number" in the_problem(LOAN, LOAN_RECORD | {field: LOAN_RECORD[field] + 0.5}, field)


@pytest.mark.parametrize("field", [*NUMBERS, *INTEGERS])
@pytest.mark.parametrize("token", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400])
def test_what_is_not_finite_is_refused(field: str, token: str) -> None:
    the_problem(LOAN, with_token(field, token), field)


@pytest.mark.parametrize("token", ["NaN", "Infinity", "1e999"])
@pytest.mark.parametrize("field", ["had_past_default"])
def test_what_is_not_finite_is_no_boolean(field: str, token: str) -> None:
    the_problem(LOAN, with_token(field, token), field)


def test_a_number_that_float32_cannot_hold_is_refused() -> None:
    assert read(LOAN, LOAN_RECORD | {"annual_income": LARGEST_NUMBER})
    sentence = the_problem(LOAN, LOAN_RECORD | {"annual_income": 1e39}, "annual_income")
    assert sentence.endswith(", not a number that is too large")
    the_problem(EVERY, EVERY_RECORD | {"copy": -1e39}, "copy")
    the_problem(EVERY, EVERY_RECORD | {"json": 10**39}, "json")


@pytest.mark.parametrize("token", ["1" + "0" * 5000, "[" * 10_000, '{"a":' * 10_000 + "1" + "}" * 10_000])
def test_what_is_too_long_or_too_deep_is_refused(token: str) -> None:
    [problem] = problems(LOAN, with_token("annual_income", token))
    assert problem["type"] == "json_invalid"


def test_what_is_deep_but_not_too_deep_names_its_field() -> None:
    the_problem(LOAN, with_token("annual_income", "[" * 100 + "]" * 100), "annual_income")


@pytest.mark.parametrize(("value", "meant"), [(True, True), (False, False), (1, True), (0, False), (1.0, True)])
def test_a_boolean_is_true_false_1_or_0(value: object, meant: bool) -> None:
    assert read(LOAN, LOAN_RECORD | {"had_past_default": value})[0]["had_past_default"] is meant


@pytest.mark.parametrize("value", [2, -1, 0.5, "true", "1", "yes", [], {}, [True]])
def test_a_boolean_is_nothing_else(value: object) -> None:
    assert "true or false" in the_problem(LOAN, LOAN_RECORD | {"had_past_default": value}, "had_past_default")


def test_declared_categories_are_the_only_ones() -> None:
    assert read(EVERY, EVERY_RECORD | {"colour": "blue, dark"})
    for value in ["pink", "Red", "", 1, True, None, ["red"]]:
        sentence = the_problem(EVERY, EVERY_RECORD | {"colour": value}, "colour")
        assert "one of 'red', 'green', 'blue, dark'" in sentence


def test_a_category_without_declared_ones_is_any_text() -> None:
    for value in ["Linz", "x" * LONGEST_TEXT, "Ünïcödé 😀", " "]:
        assert read(EVERY, EVERY_RECORD | {"city": value})[0]["city"] == value
    for wrong in ["", "x" * (LONGEST_TEXT + 1), "a\0b", 1, True, None, ["Linz"]]:
        the_problem(EVERY, EVERY_RECORD | {"city": wrong}, "city")


def test_half_a_character_is_not_text() -> None:
    [problem] = problems(EVERY, json.dumps(EVERY_RECORD | {"city": "\ud800"}).encode())
    assert problem["type"] == "json_invalid"


@pytest.mark.parametrize(
    ("key", "kept"),
    [(7, "7"), (7.0, "7"), (-1, "-1"), (2**62, str(2**62)), ("A-7", "A-7"), ("", ""), (None, None), ("ü", "ü")],
)
def test_the_key_is_a_number_or_a_text_and_no_feature(key: object, kept: str | None) -> None:
    assert read(LOAN, LOAN_RECORD | {"id": key}) == (LOAN_RECORD, kept)


@pytest.mark.parametrize("key", [True, 1.5, 2**64, -(2**64), "a\0b", "x" * (LONGEST_KEY + 1), [1], {}])
def test_the_key_is_nothing_else(key: object) -> None:
    assert "a whole number or a text" in the_problem(LOAN, LOAN_RECORD | {"id": key}, "id")


def test_a_contract_without_a_key_knows_no_key() -> None:
    keyless = RecordReader(loan_contract().model_copy(update={"key": None}))
    assert read(keyless, LOAN_RECORD) == (LOAN_RECORD, None)
    the_problem(keyless, LOAN_RECORD | {"id": 1}, "id")


def test_an_extra_field_is_refused_and_the_real_ones_are_listed() -> None:
    sentence = the_problem(LOAN, LOAN_RECORD | {"salary": 1}, "salary")
    assert "loan_approval" in sentence
    assert "annual_income" in sentence


def test_the_target_is_no_field() -> None:
    the_problem(LOAN, LOAN_RECORD | {"loan_approval": 1}, "loan_approval")


def test_every_problem_is_said_at_once() -> None:
    record = LOAN_RECORD | {"age": 7, "loan_amount": "x", "salary": 1}
    found = problems(LOAN, json.dumps(record).encode())
    assert sorted(problem["loc"][1] for problem in found) == ["age", "loan_amount", "salary"]


def test_a_flood_of_problems_is_one_sentence() -> None:
    flood = {f"x{number}": 1 for number in range(MOST_PROBLEMS + 1)}
    [problem] = problems(LOAN, json.dumps(flood).encode())
    assert problem["type"] == "too_many_problems"
    assert "annual_income" in problem["msg"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{]", b"nul", b"{'age': 1}", b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"age":1}x']
)
def test_what_is_not_json_is_said(body: bytes) -> None:
    assert "not valid JSON" in the_problem(LOAN, body, None)


@pytest.mark.parametrize(("body", "kind"), [(b"[]", "an array"), (b"null", "null"), (b"7", "7"), (b'"x"', "'x'")])
def test_what_is_not_an_object_is_said(body: bytes, kind: str) -> None:
    assert f"one JSON object, not {kind};" in the_problem(LOAN, body, None)


def test_what_came_in_is_not_repeated_at_length() -> None:
    assert len(the_problem(LOAN, LOAN_RECORD | {"age": "x" * 100_000}, "age")) < 200
    [problem] = problems(LOAN, json.dumps(LOAN_RECORD | {"x" * 100_000: 1}).encode())
    assert len(json.dumps(problem)) < 1000


def anything() -> st.SearchStrategy[Any]:
    """Any JSON, often near what is allowed."""
    scalars = st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from([0, 1, 2, -1, 0.5, 1.0, 3.0, 1e6, 1e7, 1e38, 4e38, "red", "m", "s", "", "Graz", "a\0"]),
        st.integers(min_value=-(10**400), max_value=10**400),
        st.integers(min_value=-10, max_value=10),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5),
    )
    return st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2)
    )


def near_records() -> st.SearchStrategy[dict[str, Any]]:
    """A valid record with some fields changed, left out or added."""
    names = st.sampled_from([*EVERY_CONTRACT.names, "id", "unknown"])
    changes = st.dictionaries(names, anything(), max_size=3)
    dropped = st.sets(st.sampled_from(EVERY_CONTRACT.names), max_size=2)
    return st.builds(
        lambda change, drop: {k: v for k, v in (EVERY_RECORD | change).items() if k not in drop}, changes, dropped
    )


# On a machine that does other things as well, generating takes long.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(near_records())
def test_the_documentation_allows_what_is_allowed_and_nothing_else(record: dict[str, Any]) -> None:
    documented = jsonschema.Draft202012Validator(record_schema(EVERY_CONTRACT)).is_valid(record)
    if documented:
        assert read(EVERY, record)
    else:
        assert problems(EVERY, json.dumps(record).encode())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_does_more_than_be_refused(body: bytes) -> None:
    assert problems(LOAN, body)


def test_the_documentation_shows_what_people_need() -> None:
    schema = record_schema(loan_contract())
    age = schema["properties"]["age"]
    assert age["type"] == ["integer", "null"]
    assert (age["minimum"], age["maximum"], age["x-unit"], age["examples"]) == (18, 120, "years", [35])
    assert age["description"] == "Age of the applicant. In years. The model was trained on 18 to 69."
    assert "trained on" not in schema["properties"]["had_past_default"]["description"]
    assert schema["required"] == REQUIRED
    assert schema["examples"] == [LOAN_RECORD]
    assert list(schema["properties"]) == ["id", *loan_contract().names]


def test_any_name_of_a_feature_is_possible() -> None:
    names = ["class", "self", "model_fields", "model_validate", "dict", "items", "get", "type", "def"]
    contract = Contract(
        use_case="odd",
        kind=TaskKind.REGRESSION,
        features=tuple(Feature(name=name, type=FeatureType.NUMBER) for name in names),
        target=EVERY_CONTRACT.target.model_copy(update={"classes": ()}),
    )
    record = dict.fromkeys(names, 1.0)
    assert read(RecordReader(contract), record) == (record, None)


TOGETHER = loan_contract().model_copy(update={"group": "customer_id", "time": "asked_on"})


@pytest.mark.parametrize("beside", [{}, {"customer_id": "c7"}, {"customer_id": 7, "asked_on": "2026-11-20T10:30:00Z"}])
def test_group_and_time_are_kept_with_a_record_that_has_them(beside: dict[str, Any]) -> None:
    record = LOAN_RECORD | beside
    assert read(RecordReader(TOGETHER), record) == (record, None)
    jsonschema.validate(record, record_schema(TOGETHER))
    if beside:
        assert "is not a field" in the_problem(LOAN, LOAN_RECORD | {"customer_id": "c7"}, "customer_id")


def test_a_group_or_time_that_is_none_is_said_so() -> None:
    reader = RecordReader(TOGETHER)
    assert "must be a whole number or a text" in the_problem(reader, LOAN_RECORD | {"customer_id": 1.5}, "customer_id")
    for value in ("20.11.2026", 5):
        assert "must be a date or time in ISO 8601" in the_problem(
            reader, LOAN_RECORD | {"asked_on": value}, "asked_on"
        )

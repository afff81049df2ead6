"""Whatever contract is declared and whatever is sent, the service answers, and as its document says."""

import itertools
import json
from itertools import chain
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import numpy as np
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from services.api.inputs.readers import make_reader

from modelyard.contract import LARGEST_NUMBER, Contract, Feature, FeatureType, Limits, Target, TaskKind
from services.api.http.schemas import answer_schema, record_schema
from tests.services.conftest import Case
from tests.services.made_models import EVERY_RECORD, every_type_contract, put
from tests.services.running_api import RunningApi

# On a machine that does other things as well, generating takes long.
PATIENT = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)
JSON = "application/json"
NUMBERS = st.floats(-1e6, 1e6, width=32)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@st.composite
def features(draw: st.DrawFn, name: str) -> Feature:
    kind = draw(st.sampled_from([each for each in FeatureType if each is not FeatureType.IMAGE]))
    nullable = draw(st.booleans())
    if kind is FeatureType.CATEGORY:
        categories = draw(st.lists(TEXTS, max_size=4, unique=True))
        return Feature(name=name, type=kind, nullable=nullable, categories=tuple(categories))
    if kind is FeatureType.BOOLEAN:
        return Feature(name=name, type=kind, nullable=nullable)
    low, high = sorted((draw(st.integers(-1000, 1000)), draw(st.integers(-1000, 1000))))
    valid = Limits(minimum=draw(st.sampled_from([None, low])), maximum=draw(st.sampled_from([None, high])))
    return Feature(name=name, type=kind, nullable=nullable, valid=valid)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    names = draw(st.lists(st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), min_size=2, max_size=6, unique=True))
    kind = draw(st.sampled_from([TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION]))
    classes = {TaskKind.BINARY: (0, 1), TaskKind.MULTICLASS: ("a", "b", "c"), TaskKind.REGRESSION: ()}[kind]
    return Contract(
        use_case="any",
        kind=kind,
        key=draw(st.sampled_from([None, "the_key_of_it"])),
        features=tuple(draw(features(name)) for name in names[1:]),
        target=Target(name=names[0], classes=classes),
    )


def values(feature: Feature) -> st.SearchStrategy[Any]:
    """What a contract allows for a feature."""
    low, high = feature.valid.minimum, feature.valid.maximum
    match feature.type:
        case FeatureType.CATEGORY:
            made: st.SearchStrategy[Any] = st.sampled_from(feature.categories) if feature.categories else TEXTS
        case FeatureType.BOOLEAN:
            made = st.booleans()
        case FeatureType.INTEGER:
            made = st.integers(int(-1e6 if low is None else low), int(1e6 if high is None else high))
        case _:
            made = st.floats(-LARGEST_NUMBER if low is None else low, LARGEST_NUMBER if high is None else high)
    return made | st.none() if feature.nullable else made


def records(contract: Contract) -> st.SearchStrategy[dict[str, Any]]:
    """What a contract allows."""
    return st.fixed_dictionaries({feature.name: values(feature) for feature in contract.features})


@PATIENT
@given(contracts(), st.data())
def test_whatever_a_contract_allows_is_read_as_documented(contract: Contract, data: st.DataObject) -> None:
    asked = data.draw(st.lists(records(contract), min_size=1, max_size=3))
    assert Contract.model_validate_json(contract.model_dump_json()) == contract
    jsonschema.Draft202012Validator.check_schema(answer_schema(contract))
    schema = jsonschema.Draft202012Validator(record_schema(contract))
    reader = make_reader(contract)
    singles = [reader.read(json.dumps(record).encode(), JSON) for record in asked]
    for record, question in zip(asked, singles, strict=True):
        schema.validate(record)
        assert question.record == record
    assert [*chain(*reader.read_all(json.dumps(asked).encode(), JSON, most=3))] == singles
    arrays = reader.arrays(singles)
    for feature in contract.features:
        column = arrays[feature.name]
        assert column.shape == (len(asked), 1)
        assert column.dtype == (np.float32 if feature.is_numeric else object)
    assert all(isinstance(sentence, str) for question in singles for sentence in reader.warnings(question))


@pytest.fixture
def served(case: Case) -> RunningApi:
    """An API with every kind of table in its document, and the default use case."""
    Case("loan_approval", case.source, case.api).promote(1)
    for kind in (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION):
        name = f"{case.name}_{kind}"
        put(case.source, 1, every_type_contract(kind, name), EVERY_RECORD)
        case.source.point(**{name: 1})
        case.api.wait_for_version(1, name)
    return case.api


def test_no_request_that_the_document_allows_or_forbids_is_an_error_of_the_service(served: RunningApi) -> None:
    document = served.client.get("/openapi.json").json()
    base = str(served.client.base_url).rstrip("/")
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base)
    operations = [found.ok() for found in schema.get_all_operations()]  # type: ignore[union-attr]
    assert len(operations) > 10
    for operation, mode in itertools.product(operations, GenerationMode):
        declared = document["paths"][operation.path][operation.method]
        if mode is GenerationMode.NEGATIVE and not declared.keys() & {"requestBody", "parameters"}:
            continue  # there is nothing in it that could be wrong

        @settings(PATIENT, max_examples=15)
        @given(made=operation.as_strategy(generation_mode=mode))
        def ask(made: Any) -> None:
            made.call_and_validate(base_url=base, checks=[not_a_server_error])

        ask()
    numbers = served.client.get("/metrics").text
    assert 'outcome="answered"' in numbers
    assert 'outcome="invalid"' in numbers
    assert "Traceback" not in served.logged()

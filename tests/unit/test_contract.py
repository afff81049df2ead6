import json

import numpy as np
import pytest
from pydantic import ValidationError

from modelyard.contract import Contract, Feature, FeatureType, Limits, Seen, Target, TaskKind

AGE = Feature(name="age", type=FeatureType.INTEGER, valid=Limits(minimum=18, maximum=120))
INCOME = Feature(name="income", type=FeatureType.NUMBER, nullable=True)
CITY = Feature(name="city", type=FeatureType.CATEGORY, categories=("Bonn", "Köln"))
TARGET = Target(name="approved", classes=(0, 1))


def contract(*features: Feature, **changes: object) -> Contract:
    given = {
        "use_case": "loans",
        "kind": TaskKind.BINARY,
        "features": features or (AGE, INCOME, CITY),
        "target": TARGET,
    }
    return Contract.model_validate({**given, **changes})


def changed(feature: Feature, **changes: object) -> Feature:
    return Feature.model_validate({**feature.model_dump(), **changes})


def test_it_survives_json() -> None:
    with_seen = contract().with_seen(
        {
            "age": Seen(count=2, missing=0, minimum=18, maximum=60, mean=39, deciles=(18.0,) * 9),
            "income": Seen(count=2, missing=2),
            "city": Seen(count=2, missing=0, shares={"Bonn": 1.0}),
        },
        {"age": 18, "income": None, "city": "Bonn"},
    )
    assert Contract.model_validate_json(with_seen.model_dump_json()) == with_seen


def test_records_become_columns_of_float32_and_text() -> None:
    arrays = contract().to_arrays([{"age": 30, "income": None, "city": "Bonn"}, {"age": 40, "city": None}])
    assert {name: array.shape for name, array in arrays.items()} == dict.fromkeys(("age", "income", "city"), (2, 1))
    assert arrays["age"].dtype == np.float32
    assert np.isnan(arrays["income"]).all()
    assert arrays["city"].ravel().tolist() == ["Bonn", ""]


@pytest.mark.parametrize("field", ["age", "approved"])
def test_a_name_is_declared_once(field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field} is declared twice"):
        contract(AGE, changed(INCOME, name=field))


@pytest.mark.parametrize(
    ("kind", "classes"),
    [(TaskKind.BINARY, (0, 1, 2)), (TaskKind.MULTICLASS, (0, 1)), (TaskKind.REGRESSION, (0, 1))],
)
def test_the_classes_fit_the_kind_of_task(kind: TaskKind, classes: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="classes"):
        contract(kind=kind, target=Target(name="approved", classes=classes))


def test_a_class_is_declared_once() -> None:
    with pytest.raises(ValidationError, match="the class 1 is declared twice"):
        Target(name="y", classes=(1, 2, "1"))


def test_the_threshold_decides_a_binary_answer() -> None:
    scores = np.array([[0.7, 0.3], [0.71, 0.29]])
    answers = contract(threshold=0.3).answers(scores)
    assert [answer.prediction for answer in answers] == [1, 0]
    assert [answer.probability for answer in answers] == [0.3, 0.29]


def test_the_likeliest_of_many_classes_is_the_answer() -> None:
    kinds = Target(name="kind", classes=("a", "b", "c"))
    [answer] = contract(kind=TaskKind.MULTICLASS, target=kinds).answers(np.array([[0.2, 0.5, 0.3]]))
    assert (answer.prediction, answer.probability) == ("b", 0.5)
    assert answer.probabilities == {"a": 0.2, "b": 0.5, "c": 0.3}


def test_a_regression_answers_with_its_value() -> None:
    [answer] = contract(kind=TaskKind.REGRESSION, target=Target(name="price")).answers(np.array([[12.5]]))
    assert (answer.prediction, answer.probability) == (12.5, None)


def test_only_what_was_never_seen_is_warned_of() -> None:
    seen = {
        "age": Seen(count=9, missing=0, minimum=18, maximum=60),
        "income": Seen(count=9, missing=9),
        "city": Seen(count=9, missing=0, shares={"Bonn": 1.0}),
    }
    known = contract().with_seen(seen, {})
    assert known.warnings({"age": 60, "income": 5, "city": "Bonn"}) == []
    assert known.warnings({"age": None, "city": None}) == []
    [of_age, of_city] = known.warnings({"age": 61, "city": "Köln"})
    assert "age: 61 is outside of what the model was trained on (18 to 60)" in of_age
    assert "Köln" in of_city


@pytest.mark.parametrize(
    "newer",
    [
        contract(AGE, INCOME, CITY, Feature(name="new", type=FeatureType.NUMBER, nullable=True)),
        contract(changed(AGE, valid=Limits(minimum=0)), INCOME, CITY),
        contract(changed(AGE, nullable=True), INCOME, CITY),
        contract(changed(AGE, type=FeatureType.NUMBER), INCOME, CITY),
        contract(AGE, INCOME, changed(CITY, categories=("Bonn", "Köln", "Ulm"))),
        contract(AGE, INCOME, changed(CITY, categories=())),
        contract(CITY, AGE, INCOME),
    ],
)
def test_a_contract_that_takes_more_breaks_nobody(newer: Contract) -> None:
    assert contract().breaking_changes(newer) == []


@pytest.mark.parametrize(
    ("newer", "word"),
    [
        (contract(AGE, INCOME), "removed"),
        (contract(AGE, INCOME, CITY, Feature(name="new", type=FeatureType.NUMBER)), "must be given"),
        (contract(changed(AGE, valid=Limits(minimum=21, maximum=120)), INCOME, CITY), "can be 21 to 120"),
        (contract(changed(AGE, type=FeatureType.BOOLEAN, valid=Limits()), INCOME, CITY), "is of type boolean"),
        (contract(AGE, changed(INCOME, type=FeatureType.INTEGER), CITY), "is of type integer"),
        (contract(AGE, changed(INCOME, nullable=False), CITY), "must be given"),
        (contract(AGE, INCOME, changed(CITY, categories=("Bonn",))), "lost categories"),
        (contract(target=Target(name="approved", classes=(0, 2))), "class 1 was lost"),
        (contract(target=Target(name="repaid", classes=(0, 1))), "the target was approved and is repaid"),
        (
            contract(target=Target(name="approved", classes=(0, 1, 2)), kind=TaskKind.MULTICLASS),
            "the kind was binary and is multiclass",
        ),
    ],
)
def test_a_contract_that_takes_less_breaks_its_clients(newer: Contract, word: str) -> None:
    [sentence] = contract().breaking_changes(newer)
    assert word in sentence


def test_any_text_cannot_become_a_list() -> None:
    free = contract(AGE, INCOME, changed(CITY, categories=()))
    assert free.breaking_changes(contract()) == ["feature city lost categories"]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(), "anything"),
        (Limits(minimum=1), "at least 1"),
        (Limits(minimum=0.1, maximum=1234567), "0.1 to 1234567"),
        (Limits(maximum=1e9), "at most 1000000000"),
        (Limits(minimum=0.00001), "at least 0.00001"),
        (Limits(minimum=-0.0, maximum=12345671.5), "0 to 12345671.5"),
        (Limits(maximum=0.1 + 0.2), "at most 0.3"),
    ],
)
def test_limits_read_as_words(limits: Limits, words: str) -> None:
    assert str(limits) == words


PHOTO = Feature(name="photo", type=FeatureType.IMAGE, shape=(32, 48, 3))


def test_an_image_goes_alone_and_with_its_kind() -> None:
    assert contract(PHOTO, kind=TaskKind.IMAGE).names == ["photo"]
    with pytest.raises(ValidationError, match="an image goes with the kind image, and with no other feature"):
        contract(PHOTO, AGE, kind=TaskKind.IMAGE)
    with pytest.raises(ValidationError, match="an image goes with the kind image"):
        contract(PHOTO)
    with pytest.raises(ValidationError, match="the kind image needs a feature of type image"):
        contract(AGE, kind=TaskKind.IMAGE)
    with pytest.raises(ValidationError, match="two classes or more"):
        contract(PHOTO, kind=TaskKind.IMAGE, target=Target(name="kind", classes=("one",)))


def test_only_an_image_has_a_shape() -> None:
    with pytest.raises(ValidationError, match="has a shape"):
        Feature(name="photo", type=FeatureType.IMAGE)
    with pytest.raises(ValidationError, match="has a shape"):
        changed(AGE, shape=(32, 32, 3))


def test_another_shape_breaks_no_client() -> None:
    larger = contract(changed(PHOTO, shape=(64, 64, 3)), kind=TaskKind.IMAGE)
    assert contract(PHOTO, kind=TaskKind.IMAGE).breaking_changes(larger) == []


def test_a_contract_of_the_first_format_is_read() -> None:
    older = contract().model_dump(mode="json", exclude={"calibration", "reliability", "interval"}) | {"format": 1}
    read = Contract.model_validate_json(json.dumps(older))
    assert (read.format, read.calibration, read.reliability, read.interval) == (1, None, None, None)


def test_a_contract_of_a_newer_format_says_so() -> None:
    newer = contract().model_dump(mode="json") | {"format": 3, "unheard_of": True}
    with pytest.raises(
        ValidationError, match="format 3, and this release of Modelyard reads formats up to 2"
    ) as refused:
        Contract.model_validate_json(json.dumps(newer))
    assert refused.value.error_count() == 1

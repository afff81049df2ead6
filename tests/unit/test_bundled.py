"""Data sets that come with scikit-learn, read like any other file."""

import csv

import pytest

from modelyard.errors import BadInput
from modelyard.sources.files import BLOCK_BYTES, content_hash, opened
from modelyard.sources.locate import resolve


def lines_of(source: str) -> list[list[str]]:
    with opened(source) as content:
        return list(csv.reader(content.read(BLOCK_BYTES).decode().splitlines()))


def test_iris_is_a_file_with_150_records_and_the_names_of_its_classes() -> None:
    header, *records = lines_of("sklearn://iris")
    assert header == [
        "", "sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)", "target",
    ]  # fmt: skip
    assert [record[0] for record in records] == [str(number) for number in range(150)]
    assert records[0][1:] == ["5.1", "3.5", "1.4", "0.2", "setosa"]
    assert {record[-1] for record in records} == {"setosa", "versicolor", "virginica"}


def test_the_target_of_a_regression_is_its_value() -> None:
    header, *records = lines_of("sklearn://diabetes")
    assert header[-1] == "target"
    assert float(records[0][-1]) == 151


def test_its_content_has_a_hash_that_stays() -> None:
    assert content_hash("sklearn://iris") == content_hash("sklearn://iris") != content_hash("sklearn://wine")


@pytest.mark.parametrize("name", ["tulips", "sample_images", "../iris"])
def test_what_scikit_learn_does_not_bring_is_named(name: str) -> None:
    with pytest.raises(BadInput, match=f"sklearn://{name}: there is no such file"):
        content_hash(f"sklearn://{name}")


def test_it_is_not_looked_for_below_the_data() -> None:
    assert resolve("sklearn://iris", "s3://data") == "sklearn://iris"

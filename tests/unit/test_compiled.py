"""A compiled model: what it answers, and what it must be able to show before it may."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelyard.contract import Contract, FeatureType, TaskKind
from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import (
    CONTRACT_FILE,
    EXAMPLE_FILE,
    MODEL_FILE,
    CompiledModel,
    ProofFailed,
    furthest_apart,
)
from tests.services.made_models import EVERY_RECORD, every_type_contract, write_package

KINDS = [TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION]
WIDTHS = {TaskKind.BINARY: 2, TaskKind.MULTICLASS: 3, TaskKind.REGRESSION: 1}
OTHER_RECORD = EVERY_RECORD | {"schema": 700_000.0, "city": "Linz", "size": None}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_package(tmp_path, every_type_contract(TaskKind.BINARY), [EVERY_RECORD, OTHER_RECORD])
    return tmp_path


@pytest.mark.parametrize("kind", KINDS)
def test_scores_have_a_row_for_each_record(kind: TaskKind, tmp_path: Path) -> None:
    contract = every_type_contract(kind)
    write_package(tmp_path, contract, [EVERY_RECORD])
    model = CompiledModel.load(tmp_path)
    scores = model.scores(contract.to_arrays([EVERY_RECORD, OTHER_RECORD, EVERY_RECORD]))
    assert scores.shape == (3, WIDTHS[kind])
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores[0], scores[2])
    assert not np.array_equal(scores[0], scores[1])
    if kind.is_classification:
        np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-6)


def test_the_contract_comes_along(folder: Path) -> None:
    assert CompiledModel.load(folder).contract == every_type_contract(TaskKind.BINARY)


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_model_proves_itself(kind: TaskKind, tmp_path: Path) -> None:
    write_package(tmp_path, every_type_contract(kind), [EVERY_RECORD, OTHER_RECORD], bias=0.3)
    CompiledModel.load(tmp_path).prove()


def test_differences_up_to_the_tolerance_are_rounding(tmp_path: Path) -> None:
    write_package(tmp_path, every_type_contract(TaskKind.BINARY), [EVERY_RECORD], example_off_by=9e-5)
    CompiledModel.load(tmp_path).prove()


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_that_answers_otherwise_fails_its_proof(kind: TaskKind, tmp_path: Path) -> None:
    write_package(tmp_path, every_type_contract(kind), [EVERY_RECORD], example_off_by=2e-4)
    with pytest.raises(ProofFailed, match=r"differ from those at training by up to 0\.0002, more than 0\.0001"):
        CompiledModel.load(tmp_path).prove()


def test_one_wrong_record_is_enough_to_fail(folder: Path) -> None:
    _change_example(folder, lambda example: example["scores"][1].reverse())
    with pytest.raises(ProofFailed):
        CompiledModel.load(folder).prove()


def test_scores_for_fewer_records_than_the_example_has_prove_nothing(folder: Path) -> None:
    _change_example(folder, lambda example: example["scores"].pop())
    with pytest.raises(ProofFailed, match="2 scores for each of its records"):
        CompiledModel.load(folder).prove()


def test_values_are_compared_as_exactly_as_float32_holds_them() -> None:
    large = np.array([[250_000.0]])
    assert furthest_apart(large.astype(np.float32) + np.float32(1), large) == pytest.approx(4e-6)
    assert furthest_apart(np.array([[0.5]]), np.array([[0.4]])) == pytest.approx(0.1)


def test_a_score_that_is_no_number_fails_the_proof(tmp_path: Path) -> None:
    assert np.isnan(furthest_apart(np.array([[np.nan]]), np.array([[0.5]])))
    write_package(tmp_path, every_type_contract(TaskKind.REGRESSION), [EVERY_RECORD], bias=float("nan"))
    text = (tmp_path / EXAMPLE_FILE).read_text().replace("NaN", "0.5")
    (tmp_path / EXAMPLE_FILE).write_text(text)
    with pytest.raises(ProofFailed):
        CompiledModel.load(tmp_path).prove()


@pytest.mark.parametrize("name", [CONTRACT_FILE, MODEL_FILE, EXAMPLE_FILE])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(UnusableModel, match=f"{name} cannot be read: No such file"):
        CompiledModel.load(folder)


@pytest.mark.parametrize("name", [CONTRACT_FILE, MODEL_FILE, EXAMPLE_FILE])
@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\x00garbage"])
def test_a_damaged_file_is_named(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(UnusableModel, match=name):
        CompiledModel.load(folder)


def test_a_damaged_name_within_a_graph_is_told(folder: Path) -> None:
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content.replace(b"Constant", b"\xffonstant"))
    with pytest.raises(UnusableModel, match=MODEL_FILE):
        CompiledModel.load(folder)


def test_a_model_that_was_cut_off_is_named(folder: Path) -> None:
    content = (folder / MODEL_FILE).read_bytes()
    (folder / MODEL_FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(UnusableModel, match=MODEL_FILE):
        CompiledModel.load(folder)


def test_inputs_that_the_contract_does_not_have_are_named(folder: Path) -> None:
    contract = every_type_contract(TaskKind.BINARY)
    fewer = contract.model_copy(update={"features": contract.features[2:]})
    (folder / CONTRACT_FILE).write_text(fewer.model_dump_json())
    with pytest.raises(UnusableModel, match="takes copy, schema, which the contract does not have"):
        CompiledModel.load(folder)


def test_a_feature_that_the_model_does_not_use_is_no_harm(tmp_path: Path) -> None:
    contract = every_type_contract(TaskKind.BINARY)
    write_package(tmp_path, contract, [EVERY_RECORD])
    fewer = contract.model_copy(update={"features": contract.features[1:]})
    write_package(tmp_path / "fewer", fewer, [EVERY_RECORD])
    (tmp_path / "fewer" / CONTRACT_FILE).write_text(contract.model_dump_json())
    CompiledModel.load(tmp_path / "fewer").prove()


def test_a_model_of_another_kind_is_refused(folder: Path) -> None:
    other: Contract = every_type_contract(TaskKind.REGRESSION)
    (folder / CONTRACT_FILE).write_text(other.model_dump_json())
    with pytest.raises(UnusableModel, match="no output named variable"):
        CompiledModel.load(folder)


def test_inputs_of_another_type_fail_the_proof(folder: Path) -> None:
    contract = every_type_contract(TaskKind.BINARY)
    features = [
        f.model_copy(update={"type": FeatureType.CATEGORY}) if f.name == "copy" else f for f in contract.features
    ]
    (folder / CONTRACT_FILE).write_text(contract.model_copy(update={"features": tuple(features)}).model_dump_json())
    with pytest.raises(ProofFailed, match="cannot answer its own example"):
        CompiledModel.load(folder).prove()


def _change_example(folder: Path, change: Any) -> None:
    example = json.loads((folder / EXAMPLE_FILE).read_text())
    change(example)
    (folder / EXAMPLE_FILE).write_text(json.dumps(example))

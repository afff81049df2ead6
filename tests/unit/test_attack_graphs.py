"""Graphs and files made to harm whoever loads them: refused before they run, or ended while they do."""

import os
import time
from pathlib import Path
from typing import Any

import onnx
import psutil
import pytest
from onnx import TensorProto, helper

from modelyard.contract import TaskKind
from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import GRAPH_ERRORS, MODEL_FILE, CompiledModel
from modelyard.models.onnx.graph import check_graph
from modelyard.models.onnx.isolation import Limits, run_apart
from modelyard.models.onnx.verification import load_checked
from tests.services.made_attacks import (
    MANY_ROUNDS,
    add_nodes,
    as_large_as_asked,
    endless_loop,
    graph_of,
    large_array,
    make_endless,
)
from tests.services.made_models import LOAN_RECORD, every_type_contract, loan_contract, slow_detour, write_package

PATIENT = Limits(memory_bytes=2**30, processor_seconds=60, seconds=120)


def scan(*inner: onnx.NodeProto) -> onnx.NodeProto:
    """A node that does something with each row."""
    row = helper.make_tensor_value_info("row", TensorProto.FLOAT, [1])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1])
    body = helper.make_graph([*inner, helper.make_node("Identity", ["row"], ["out"])], "body", [row], [out])
    return helper.make_node("Scan", ["x"], ["y"], body=body, num_scan_inputs=1)


def refusal(model: onnx.ModelProto) -> str:
    with pytest.raises(UnusableModel) as refused:
        check_graph(model.SerializeToString(), MODEL_FILE)
    return str(refused.value)


@pytest.mark.parametrize("operator", ["If", "Loop", "SequenceMap"])
def test_what_need_not_end_is_refused(operator: str) -> None:
    body = helper.make_graph([], "body", [], [])
    said = refusal(graph_of([helper.make_node(operator, ["x"], ["y"], body=body)]))
    assert said == f"model.onnx: the graph has the operator '{operator}', which need not come to an end"


def test_one_pass_over_the_records_is_allowed_and_none_inside_it() -> None:
    check_graph(graph_of([scan()]).SerializeToString(), MODEL_FILE)
    assert "'Scan'" in refusal(graph_of([scan(scan())]))
    assert "'Loop'" in refusal(graph_of([scan(helper.make_node("Loop", [], []))]))


def test_a_second_graph_and_a_second_operator_are_looked_at_too() -> None:
    # Protobuf takes the last of what comes twice, and puts two halves of a message together.
    loop = graph_of([helper.make_node("Loop", [], [])]).SerializeToString()
    harmless = graph_of([helper.make_node("Identity", ["x"], ["y"])]).SerializeToString()
    for both in (loop + harmless, harmless + loop):
        with pytest.raises(UnusableModel, match="'Loop'"):
            check_graph(both, MODEL_FILE)


def test_functions_and_operators_of_others_are_refused() -> None:
    identity = helper.make_node("Identity", ["a"], ["b"])
    function = helper.make_function("", "Abs", ["a"], ["b"], [identity], [helper.make_opsetid("", 21)])
    assert "functions of its own" in refusal(graph_of([], function))
    foreign = helper.make_node("BeamSearch", ["x"], ["y"], domain="com.microsoft")
    assert "'com.microsoft'" in refusal(graph_of([foreign]))


@pytest.mark.parametrize("content", [b"\x0f", b"\x3a\xff\xff", b"\xff" * 30, b"\x3a\x7f"])
def test_what_is_no_graph_is_refused(content: bytes) -> None:
    with pytest.raises(UnusableModel, match=r"model\.onnx is not a model that onnxruntime can read"):
        check_graph(content, MODEL_FILE)


def test_weights_are_not_read_from_other_files(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD])
    model = onnx.load(tmp_path / MODEL_FILE)
    [bias] = [each for each in model.graph.initializer if each.name == "bias"]
    bias.ClearField("float_data")
    bias.data_location = TensorProto.EXTERNAL
    for place in ("/etc/passwd", "../../../../../../etc/passwd", "etc/passwd"):
        del bias.external_data[:]
        bias.external_data.add(key="location", value=place)
        (tmp_path / MODEL_FILE).write_bytes(model.SerializeToString())
        with pytest.raises(UnusableModel, match="is not a model that onnxruntime can read"):
            CompiledModel.load(tmp_path)


def test_a_loop_for_certain_records_only_is_refused_unrun(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel, match="'Loop'"):
        write_package(tmp_path, loan_contract(), [LOAN_RECORD], detour=endless_loop())


def test_arrays_as_large_as_a_record_says_end_the_call_and_not_the_process(tmp_path: Path) -> None:
    contract = every_type_contract(TaskKind.BINARY)
    modest = contract.example or {}
    write_package(tmp_path, contract, [modest | {"schema": 0.0}], detour=as_large_as_asked())
    model = CompiledModel.load(tmp_path)
    with pytest.raises(GRAPH_ERRORS):
        # Twenty gigabytes and more.
        model.scores(contract.to_arrays([modest | {"schema": 50_000_000.0}]))
    model.prove()


def test_a_model_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD])
    add_nodes(tmp_path / MODEL_FILE, large_array(64))
    with pytest.raises(UnusableModel, match=r"allocate|memory"):
        load_checked(tmp_path, "loan_approval")


def spend_processor_time() -> None:
    """Never ends."""
    while True:
        pass


def wait() -> None:
    """Never ends, and computes nothing."""
    time.sleep(3600)


def take_memory() -> None:
    """Takes more than there may be."""
    bytearray(2**40)


def crash() -> None:
    """Ends as a library with a fault does."""
    os.abort()


def write_much(path: str) -> None:
    """Fills the disk."""
    with Path(path).open("wb") as file:
        while True:
            file.write(b"x" * 2**20)


def tell_environment() -> None:
    """Says what it has been given."""
    raise UnusableModel(" ".join(f"{name}={value}" for name, value in os.environ.items()))


def fail_in_its_own_way() -> None:
    """Fails with a long story."""
    raise RuntimeError("the first line" + "\nmore" * 1000)


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        ("spend_processor_time", {"processor_seconds": 1}, "it was not done after 1 s of computing"),
        ("wait", {"seconds": 2.0}, "it was not done after 2 s"),
        ("take_memory", {}, "it needs more than 1024 MB of memory"),
        ("crash", {}, "was ended by SIGABRT"),
        ("fail_in_its_own_way", {}, "RuntimeError: the first line"),
    ],
)
def test_what_is_run_apart_ends_with_a_sentence(task: str, changes: dict[str, Any], said: str) -> None:
    children = psutil.Process().children(recursive=True)
    with pytest.raises(UnusableModel, match=said) as ended:
        run_apart(f"tests.unit.test_attack_graphs:{task}", [], PATIENT._replace(**changes))
    assert "\n" not in str(ended.value)
    assert psutil.Process().children(recursive=True) == children


def test_what_is_run_apart_fills_no_disk(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel):
        run_apart("tests.unit.test_attack_graphs:write_much", [str(tmp_path / "much")], PATIENT)
    assert (tmp_path / "much").stat().st_size <= PATIENT.file_bytes


def test_what_is_run_apart_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MODELYARD_RAW_DATABASE_URL", "MODELYARD_API_KEYS", "AWS_SECRET_ACCESS_KEY", "SOMETHING_NEW"):
        monkeypatch.setenv(name, "postgresql://api:secret@postgres/raw_data")
    with pytest.raises(UnusableModel) as told:
        run_apart("tests.unit.test_attack_graphs:tell_environment", [], PATIENT)
    assert "PATH=" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_model_that_never_ends_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD], detour=slow_detour(MANY_ROUNDS, side=8))
    make_endless(tmp_path / MODEL_FILE)
    limits = Limits(memory_bytes=4 * 2**30, processor_seconds=2, seconds=60)
    with pytest.raises(UnusableModel, match="it was not done after 2 s of computing"):
        run_apart("modelyard.models.onnx.verification:try_model", [str(tmp_path), "loan_approval"], limits)

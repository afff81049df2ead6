"""Graphs and files made to harm whoever loads them: refused before they run, or ended while they do."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from modelyard.contract import TaskKind
from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import GRAPH_ERRORS, MODEL_FILE, CompiledModel
from modelyard.models.onnx.graph import check_graph
from tests.services.made_attacks import (
    as_large_as_asked,
    endless_loop,
    graph_of,
)
from tests.services.made_models import LOAN_RECORD, every_type_contract, loan_contract, write_package


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

"""Graphs that nobody trained: they never end, take all memory, or read what is not theirs."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, helper


def endless_loop() -> list[onnx.NodeProto]:
    """Nodes that count for ever when the sum is negative, as it never is in the example."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["on"]), helper.make_node("Identity", ["carried"], ["next"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("next", TensorProto.FLOAT, None),
        ],
    )
    return [
        helper.make_node("ReduceMin", ["plain"], ["smallest"], keepdims=0),
        helper.make_node("Less", ["smallest", "zero"], ["are_below"]),
        helper.make_node("Squeeze", ["are_below"], ["is_below"]),
        helper.make_node("Loop", ["", "is_below", "plain"], ["sum"], body=body),
    ]


def as_large_as_asked() -> list[onnx.NodeProto]:
    """Nodes that make an array with as many gigabytes as a record's sum is above 1."""
    return [
        helper.make_node("ReduceMax", ["plain"], ["largest"], keepdims=0),
        helper.make_node("Sub", ["largest", "one"], ["above"]),
        helper.make_node("Relu", ["above"], ["gigabytes"]),
        helper.make_node("Constant", [], ["giga"], value=helper.make_tensor("g", TensorProto.FLOAT, [1], [2.5e8])),
        helper.make_node("Mul", ["gigabytes", "giga"], ["many"]),
        helper.make_node("Cast", ["many"], ["how_many"], to=TensorProto.INT64),
        helper.make_node("ConstantOfShape", ["how_many"], ["array"]),
        helper.make_node("ReduceSum", ["array"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["plain", "nothing"], ["sum"]),
    ]


def large_array(gigabytes: int) -> list[onnx.NodeProto]:
    """Nodes that make an array of that size out of nothing."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [gigabytes, 250_000_000])
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["many"]),
        helper.make_node("ReduceMax", ["many"], ["nothing"], keepdims=0),
        helper.make_node("Add", ["plain", "nothing"], ["sum"]),
    ]


def graph_of(nodes: Sequence[onnx.NodeProto], *functions: onnx.FunctionProto) -> onnx.ModelProto:
    """A model of nothing but these nodes, good for nothing."""
    number = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])
    graph = helper.make_graph(list(nodes), "made", [number], [number])
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=list(functions))


# Each takes a second, once their matrices are large.
MANY_ROUNDS = 200


def make_endless(file: Path) -> None:
    """Makes a model with a `made_models.slow_detour` of many rounds compute for minutes, whatever it is asked."""
    model = onnx.load(file)
    [shape] = [node for node in model.graph.node if node.output == ["shape"]]
    shape.attribute[0].t.CopyFrom(helper.make_tensor("shape", TensorProto.INT64, [2], [3000, 3000]))
    file.write_bytes(model.SerializeToString())


def add_nodes(file: Path, detour: Sequence[onnx.NodeProto]) -> None:
    """Puts other nodes in the place of a model's way from `plain` to `sum`; its example stays as it is."""
    model = onnx.load(file)
    nodes = [*model.graph.node]
    place = next(number for number, node in enumerate(nodes) if node.output == ["sum"])
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:place], *detour, *nodes[place + 1 :]])
    file.write_bytes(model.SerializeToString())

"""Models made in a moment, without training."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from modelyard.contract import Contract, Feature, FeatureType, Limits, Record, Seen, Target, TaskKind
from modelyard.models.onnx.compiled import CONTRACT_FILE, EXAMPLE_FILE, MODEL_FILE, CompiledModel
from modelyard.use_cases.loan_approval import USE_CASE as LOAN_APPROVAL
from tests.services.folder_source import FolderSource

LOAN_RECORD: dict[str, Any] = {
    "age": 35,
    "annual_income": 60000.0,
    "credit_score": 700,
    "loan_amount": 20000.0,
    "loan_duration_years": 10,
    "number_of_open_accounts": 3,
    "had_past_default": False,
}

# Names that a class of pydantic's uses itself, every type, with and without limits, nullable and not.
EVERY_TYPE = (
    Feature(name="schema", type=FeatureType.NUMBER, unit="m", valid=Limits(minimum=-1, maximum=1e6), help="A length."),
    Feature(name="copy", type=FeatureType.NUMBER, nullable=True),
    Feature(name="count", type=FeatureType.INTEGER, valid=Limits(minimum=0)),
    Feature(name="json", type=FeatureType.INTEGER, nullable=True),
    Feature(name="model_config", type=FeatureType.BOOLEAN),
    Feature(name="validate", type=FeatureType.BOOLEAN, nullable=True),
    Feature(name="colour", type=FeatureType.CATEGORY, categories=("red", "green", "blue, dark")),
    Feature(name="size", type=FeatureType.CATEGORY, categories=("s", "m"), nullable=True),
    Feature(name="city", type=FeatureType.CATEGORY),
    Feature(name="note", type=FeatureType.CATEGORY, nullable=True),
)
EVERY_RECORD: dict[str, Any] = {
    "schema": 1.5,
    "copy": None,
    "count": 3,
    "json": 2,
    "model_config": True,
    "validate": False,
    "colour": "red",
    "size": "m",
    "city": "Graz",
    "note": None,
}
TARGETS = {
    TaskKind.BINARY: Target(name="outcome", classes=("no", "yes")),
    TaskKind.MULTICLASS: Target(name="outcome", classes=("blue", "green", "red")),
    TaskKind.REGRESSION: Target(name="outcome", unit="EUR"),
}


def loan_contract(threshold: float = 0.5) -> Contract:
    """The contract of loan approval as a training leaves it."""
    seen = {
        feature.name: Seen(count=100, missing=0, minimum=(feature.valid.minimum or 0), maximum=200_000)
        for feature in LOAN_APPROVAL.features
    }
    seen["age"] = Seen(count=100, missing=2, minimum=18, maximum=69)
    return LOAN_APPROVAL.contract().with_seen(seen, LOAN_RECORD).model_copy(update={"threshold": threshold})


def every_type_contract(kind: TaskKind, use_case: str | None = None) -> Contract:
    """A contract with features of every type."""
    return Contract(
        use_case=use_case or f"every_{kind}",
        kind=kind,
        features=EVERY_TYPE,
        target=TARGETS[kind],
        key="id",
        example=EVERY_RECORD,
    )


def slow_detour(rounds: int = 6, side: int = 1000) -> list[onnx.NodeProto]:
    """Nodes that take their time, whatever is asked: so many products of square matrices of that side."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [side, side])
    small = helper.make_tensor("small", TensorProto.FLOAT, [1], [1e-4])
    products = [helper.make_node("MatMul", [f"square_{n}", "square_0"], [f"square_{n + 1}"]) for n in range(rounds)]
    return [
        # Of what is asked, or it would all be done when the model is loaded.
        helper.make_node("ReduceMax", ["plain"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", "zero"], ["nothing"]),
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("ConstantOfShape", ["shape"], ["square"], value=small),
        helper.make_node("Add", ["square", "nothing"], ["square_0"]),
        *products,
        helper.make_node("ReduceMax", [f"square_{rounds}"], ["product"], keepdims=0),
        helper.make_node("Mul", ["product", "zero"], ["no_product"]),
        helper.make_node("Add", ["plain", "no_product"], ["sum"]),
    ]


def breaking_detour() -> list[onnx.NodeProto]:
    """Nodes that fail on more than one record at a time, as the one of the example does not show."""
    shape = helper.make_tensor("shape", TensorProto.INT64, [2], [1, 1])
    return [
        helper.make_node("Constant", [], ["shape"], value=shape),
        helper.make_node("Reshape", ["plain", "shape"], ["sum"]),
    ]


def write_package(
    folder: Path,
    contract: Contract,
    records: Sequence[Record],
    bias: float = 0,
    example_off_by: float = 0,
    detour: Sequence[onnx.NodeProto] = (),
) -> None:
    """The three files of a model version: a linear model with made-up weights.

    Args:
        folder: Where; made when it is not there.
        contract: What the model takes and gives.
        records: The records of its example.
        bias: Tells versions apart.
        example_off_by: By how much the example's scores are made wrong.
        detour: Nodes on the way from the `plain` sum of its terms to the `sum` that it goes on with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONTRACT_FILE).write_text(contract.model_dump_json(), encoding="utf-8")
    (folder / MODEL_FILE).write_bytes(_graph(contract, bias, detour).SerializeToString())
    _write_example(folder, records, [[0.0]])
    scores = CompiledModel.load(folder).scores(contract.to_arrays(records))
    _write_example(folder, records, (scores.astype(float) + example_off_by).tolist())


def _write_example(folder: Path, records: Sequence[Record], scores: list[list[float]]) -> None:
    document = {"records": [dict(record) for record in records], "scores": scores}
    (folder / EXAMPLE_FILE).write_text(json.dumps(document), encoding="utf-8")


def _graph(contract: Contract, bias: float, detour: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    nodes = [node for feature in contract.features for node in _term(feature)]
    terms = [f"{feature.name}_term" for feature in contract.features]
    nodes.append(helper.make_node("Sum", [*terms, "bias"], ["plain"]))
    nodes += detour or [helper.make_node("Identity", ["plain"], ["sum"])]
    nodes += _output(contract)
    width = len(contract.target.classes) or 1
    output = "probabilities" if contract.kind.is_classification else "variable"
    graph = helper.make_graph(
        nodes,
        "made",
        [_input(feature) for feature in contract.features],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [None, width])],
        [
            _constant("bias", [bias]),
            _constant("zero", [0]),
            _constant("one", [1]),
            _constant("hundredth", [0.01]),
            _constant("slopes", range(1, width + 1)),
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def _input(feature: Feature) -> onnx.ValueInfoProto:
    if feature.is_image:
        return helper.make_tensor_value_info(feature.name, TensorProto.UINT8, [None, *feature.image_shape])
    kind = TensorProto.FLOAT if feature.is_numeric else TensorProto.STRING
    return helper.make_tensor_value_info(feature.name, kind, [None, 1])


def _term(feature: Feature) -> list[onnx.NodeProto]:
    """Its share of the sum: half a unit at its upper limit, nothing when it is missing."""
    name = feature.name
    if feature.is_image:
        axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
        return [
            helper.make_node("Cast", [name], [f"{name}_float"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", [f"{name}_float"], [f"{name}_flat"]),
            helper.make_node("Constant", [], [f"{name}_axes"], value=axes),
            helper.make_node("ReduceMean", [f"{name}_flat", f"{name}_axes"], [f"{name}_mean"]),
            helper.make_node("Mul", [f"{name}_mean", "hundredth"], [f"{name}_term"]),
        ]
    if not feature.is_numeric:
        known = list(feature.categories) or ["Graz", "Wien"]
        values = [0.1 * (place + 1) for place in range(len(known))]
        encoder: dict[str, Any] = {"keys_strings": known, "values_floats": values, "default_float": 0.0}
        return [helper.make_node("LabelEncoder", [name], [f"{name}_term"], domain="ai.onnx.ml", **encoder)]
    weight = helper.make_tensor(f"{name}_weight", TensorProto.FLOAT, [1], [0.5 / (feature.valid.maximum or 100_000)])
    return [
        helper.make_node("Constant", [], [f"{name}_weight"], value=weight),
        helper.make_node("IsNaN", [name], [f"{name}_missing"]),
        helper.make_node("Where", [f"{name}_missing", "zero", name], [f"{name}_filled"]),
        helper.make_node("Mul", [f"{name}_filled", f"{name}_weight"], [f"{name}_term"]),
    ]


def _output(contract: Contract) -> list[onnx.NodeProto]:
    if not contract.kind.is_classification:
        return [helper.make_node("Identity", ["sum"], ["variable"])]
    if len(contract.target.classes) > 2:
        return [
            helper.make_node("Mul", ["sum", "slopes"], ["each"]),
            helper.make_node("Softmax", ["each"], ["probabilities"], axis=1),
        ]
    return [
        helper.make_node("Sigmoid", ["sum"], ["positive"]),
        helper.make_node("Sub", ["one", "positive"], ["negative"]),
        helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
    ]


def _constant(name: str, values: Sequence[float]) -> onnx.TensorProto:
    array = np.array(list(values), dtype=np.float32)
    return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.tolist())


def put(source: FolderSource, version: int, contract: Contract, record: Record, **how: Any) -> None:
    """Adds a version to a source, not yet in production."""
    write_package(source.folder / contract.use_case / str(version), contract, [record], **how)

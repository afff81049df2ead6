"""A model as it is served: contract, compiled graph and proof, read from a folder with onnxruntime and numpy alone."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from pydantic import Field, ValidationError

from modelyard.contract import Arrays, Contract, Frozen, Value
from modelyard.errors import UnusableModel
from modelyard.models.onnx.graph import check_graph

CONTRACT_FILE = "contract.json"
MODEL_FILE = "model.onnx"
EXAMPLE_FILE = "example.json"
PACKAGE_FILES = (CONTRACT_FILE, MODEL_FILE, EXAMPLE_FILE)

PROBABILITIES = "probabilities"
REGRESSION_VALUE = "variable"

# Furthest that a score may be from the fitted model's; of values beyond 1, that share of them.
PROOF_TOLERANCE = 1e-4

# What onnxruntime says of a graph is for those who wrote it, and its errors are raised.
FATAL_ONLY = 4

# Of all calls of models in a process together, besides the models themselves: how large the arrays are that a graph
# makes can depend on what it is asked, which no example shows.
WORKING_MEMORY_BYTES = 2 * 2**30

Scores = NDArray[np.float32]
Document = TypeVar("Document", bound=Frozen)

# onnxruntime's errors have no class in common.
GRAPH_ERRORS = (
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
    # Its message names a part of a damaged graph, and that name is no text.
    UnicodeDecodeError,
)


class ProofFailed(UnusableModel):
    """The model does not answer its example as it did at training."""


class Example(Frozen):
    """Records, and what the fitted model said of them at training.

    Attributes:
        records: Valid records.
        scores: The fitted model's scores, of shape (records, classes) or (records, 1).
    """

    records: tuple[dict[str, Value], ...] = Field(min_length=1)
    scores: tuple[tuple[float, ...], ...] = Field(min_length=1)


@dataclass(frozen=True)
class CompiledModel:
    """A compiled model with its contract and its example.

    Attributes:
        contract: What it takes and gives.
        example: What it must be able to answer.
    """

    contract: Contract
    example: Example
    _session: Any
    _inputs: tuple[str, ...]
    _output: str

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads `contract.json`, `model.onnx` and `example.json` from a folder; nothing is unpickled.

        Raises:
            UnusableModel: A file is missing or damaged, or the graph does not fit the contract; the message says which.
        """
        contract = _document(Contract, folder / CONTRACT_FILE)
        example = _document(Example, folder / EXAMPLE_FILE)
        session = _session(folder / MODEL_FILE)
        inputs = _inputs(contract, session, folder / MODEL_FILE)
        return cls(contract, example, session, inputs, _output(contract, session, folder / MODEL_FILE))

    def scores(self, arrays: Arrays) -> Scores:
        """The model's scores.

        Args:
            arrays: A column of shape (records, 1) for each feature, as `Contract.to_arrays` makes them.

        Returns:
            Probabilities of shape (records, classes), or a regression's values of shape (records, 1).
        """
        scores: Scores = self._session.run([self._output], {name: arrays[name] for name in self._inputs})[0]
        return scores

    def prove(self) -> None:
        """Answers the example and compares with what the fitted model said at training.

        Raises:
            ProofFailed: The answers differ; the message says by how much.
        """
        expected = _expected(self.contract, self.example)
        try:
            scores = self.scores(self.contract.to_arrays(self.example.records))
        except GRAPH_ERRORS as error:
            raise ProofFailed(f"the model cannot answer its own example: {first_line(error)}") from error
        if scores.shape != expected.shape:
            raise ProofFailed(f"the model's scores have the shape {scores.shape}, its example's {expected.shape}")
        furthest = furthest_apart(scores, expected)
        if not furthest <= PROOF_TOLERANCE:
            raise ProofFailed(
                f"the model's answers to its example differ from those at training by up to {furthest:.2g}, "
                f"more than {PROOF_TOLERANCE:g}"
            )


def furthest_apart(scores: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference of two arrays of scores; of values beyond 1 it counts relative to them.

    Probabilities are thus compared as they are, and a regression's values as exactly as float32 can hold them.
    NaN where one of the two is not a number.
    """
    difference = np.abs(scores.astype(np.float64) - expected)
    return float(np.max(difference / np.maximum(1, np.abs(expected))))


def first_line(error: BaseException) -> str:
    """The first line of an error's message, for use in a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _document(kind: type[Document], path: Path) -> Document:
    try:
        return kind.model_validate_json(_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the document"
        raise UnusableModel(f"{path.name}: {where}: {first['msg']}") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableModel(f"{path.name} cannot be read: {error.strerror}") from error


def _session(path: Path) -> Any:
    content = _bytes(path)
    check_graph(content, path.name)
    _bound_memory()
    options = onnxruntime.SessionOptions()
    # Many small calls at the same time: one thread for each is the fastest, and leaves the cores to the others.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except GRAPH_ERRORS as error:
        raise UnusableModel(f"{path.name} is not a model that onnxruntime can read: {first_line(error)}") from error


@cache
def _bound_memory() -> None:
    """Has sessions take their working memory from one place with a bound: beyond it a call fails, and nothing else."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(memory, onnxruntime.OrtArenaCfg(WORKING_MEMORY_BYTES, -1, -1, -1))


def _inputs(contract: Contract, session: Any, path: Path) -> tuple[str, ...]:
    # A graph may leave a feature out, when the pipeline dropped it.
    inputs = tuple(node.name for node in session.get_inputs())
    unknown = sorted(set(inputs) - set(contract.names))
    if unknown:
        raise UnusableModel(f"{path.name}: the model takes {', '.join(unknown)}, which the contract does not have")
    return inputs


def _output(contract: Contract, session: Any, path: Path) -> str:
    wanted = PROBABILITIES if contract.kind.is_classification else REGRESSION_VALUE
    if wanted not in {node.name for node in session.get_outputs()}:
        raise UnusableModel(f"{path.name}: the model has no output named {wanted}")
    return wanted


def _expected(contract: Contract, example: Example) -> NDArray[np.float64]:
    width = len(contract.target.classes) or 1
    if len(example.scores) != len(example.records) or any(len(row) != width for row in example.scores):
        raise ProofFailed(f"the model's example does not hold {width} scores for each of its records")
    return np.array(example.scores, dtype=np.float64)

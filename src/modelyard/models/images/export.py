"""How a fitted Keras model becomes a file that onnxruntime runs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import onnx
from tf2onnx import optimizer

from modelyard.contract import Contract
from modelyard.errors import StepFailed
from modelyard.models.onnx.compiled import PROBABILITIES
from modelyard.models.tabular.export import append_calibration

REASON_LENGTH = 200


def compile_network(model: keras.Model, contract: Contract) -> bytes:
    """A fitted network as ONNX: an input of shape (None, height, width, channels), the output that is served.

    Raises:
        StepFailed: The network cannot be compiled.
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings(), _as_it_is():
        # Keras asks numpy for a name that has gone.
        warnings.filterwarnings("ignore", message=".*np.object.*", category=FutureWarning)
        path = Path(folder) / "model.onnx"
        try:
            model.export(str(path), format="onnx", verbose=False)
        except (RuntimeError, NotImplementedError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0][:REASON_LENGTH]
            raise StepFailed(f"{contract.use_case}: the network cannot be compiled to ONNX: {reason}") from error
        compiled = onnx.load(path)
    _rename(compiled.graph, compiled.graph.input[0], contract.features[0].name)
    _rename(compiled.graph, compiled.graph.output[0], PROBABILITIES)
    append_calibration(compiled.graph, contract.calibration)
    return bytes(compiled.SerializeToString())


@contextmanager
def _as_it_is() -> Iterator[None]:
    """Leaves the graph to onnxruntime, which optimizes it as well when it loads it.

    The converter's own optimizers each copy the graph with its weights: ResNet50 takes 7.3 GB with them, 2.8 without.
    """
    optimizers = dict(optimizer._optimizers)
    optimizer._optimizers.clear()
    try:
        yield
    finally:
        optimizer._optimizers.update(optimizers)


def _rename(graph: onnx.GraphProto, value: onnx.ValueInfoProto, name: str) -> None:
    before, value.name = value.name, name
    for node in graph.node:
        for names in (node.input, node.output):
            for position, each in enumerate(names):
                if each == before:
                    names[position] = name

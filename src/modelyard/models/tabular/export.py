"""How a fitted scikit-learn pipeline becomes a file that onnxruntime runs, and proof that it is the same model."""

from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from pydantic import Field
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.pipeline import Pipeline

from modelyard.contract import Calibration, Contract, Frozen
from modelyard.errors import StepFailed
from modelyard.models.calibration import SMALL
from modelyard.models.onnx.compiled import PROBABILITIES
from modelyard.models.tabular.pipeline import FINAL_STEP, class_columns, without_calibration

# Compiled models compute in float32, fitted ones in float64.
TOLERANCE = 1e-4
# The newest that skl2onnx 1.20 has been tested with.
OPSET = 21
# The converter's messages may hold the whole model.
REASON_LENGTH = 200
SORTED_PROBABILITIES = "sorted_probabilities"
CLASS_COLUMNS = "class_columns"
UNCALIBRATED = "uncalibrated_probabilities"


class Agreement(Frozen):
    """How far a compiled model is from the fitted one it was made from.

    Attributes:
        records: On how many records they were compared.
        largest_difference: Largest difference of a probability, or of a value relative to the values' spread.
        other_decisions: Records on which they decide differently although no probability is at the threshold.
    """

    records: int
    largest_difference: float = Field(ge=0)
    other_decisions: int

    @property
    def holds(self) -> bool:
        """Whether the two are the same model for all that matters."""
        return self.largest_difference <= TOLERANCE and self.other_decisions == 0

    def __str__(self) -> str:
        return (
            f"on {self.records} records they differ by up to {self.largest_difference:.1e} "
            f"and decide otherwise on {self.other_decisions}"
        )


def compile_pipeline(pipeline: Pipeline, contract: Contract) -> bytes:
    """A fitted pipeline as ONNX: an input of shape (None, 1) for each feature, outputs as `CompiledModel` reads them.

    The contract's calibration is appended to the graph; that of the pipeline must be the same one.

    Raises:
        StepFailed: The estimator cannot be compiled.
    """
    inputs = [
        (f.name, FloatTensorType([None, 1]) if f.is_numeric else StringTensorType([None, 1])) for f in contract.features
    ]
    uncalibrated = without_calibration(pipeline)
    _round_down_thresholds(uncalibrated.named_steps[FINAL_STEP])
    options = {id(uncalibrated): {"zipmap": False}} if contract.kind.is_classification else None
    try:
        model = convert_sklearn(uncalibrated, initial_types=inputs, options=options, target_opset=OPSET)
    except (RuntimeError, NotImplementedError, NameError, TypeError, ValueError) as error:
        estimator = type(uncalibrated.named_steps[FINAL_STEP]).__name__
        reason = str(error).partition("\n")[0][:REASON_LENGTH]
        raise StepFailed(f"{contract.use_case}: {estimator} cannot be compiled to ONNX: {reason}") from error
    if contract.kind.is_classification:
        _put_in_order(model.graph, class_columns(pipeline, contract))
        append_calibration(model.graph, contract.calibration)
    return cast(bytes, model.SerializeToString())


def _round_down_thresholds(model: Any) -> None:
    """Gives histogram gradient boosting thresholds that float32 can hold.

    They lie half-way between two values. Where these are neighbours in float32, the converter would round some up to
    the larger one, which would then go to the left. Rounded down, a threshold parts float32 values as it did before.
    """
    for predictor in (tree for trees in getattr(model, "_predictors", ()) for tree in trees):
        thresholds = predictor.nodes["num_threshold"]
        rounded = thresholds.astype(np.float32)
        below = np.nextafter(rounded, np.float32(-np.inf))
        predictor.nodes["num_threshold"] = np.where(rounded > thresholds, below, rounded)


def _put_in_order(graph: Any, columns: list[int]) -> None:
    """Makes a graph's probabilities come in another order of columns."""
    if columns == sorted(columns):
        return
    _rename_probabilities(graph, SORTED_PROBABILITIES)
    graph.initializer.append(numpy_helper.from_array(np.array(columns, np.int64), CLASS_COLUMNS))
    graph.node.append(helper.make_node("Gather", [SORTED_PROBABILITIES, CLASS_COLUMNS], [PROBABILITIES], axis=1))


def _rename_probabilities(graph: Any, new: str) -> None:
    """Gives the probabilities another name wherever they are used, so that what comes after can have theirs."""
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == PROBABILITIES:
                    names[position] = new


def append_calibration(graph: Any, calibration: Calibration | None) -> None:
    """Appends the formula to a compiled model's graph, after its probabilities; None leaves it as it is."""
    if calibration is None:
        return
    _rename_probabilities(graph, UNCALIBRATED)
    numbers = {"small": SMALL, "slopes": calibration.slopes, "intercepts": calibration.intercepts}
    for name, value in numbers.items():
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), f"calibration_{name}"))
    graph.node.extend(
        [
            helper.make_node("Add", [UNCALIBRATED, "calibration_small"], ["calibration_shifted"]),
            helper.make_node("Log", ["calibration_shifted"], ["calibration_logarithm"]),
            helper.make_node("Mul", ["calibration_logarithm", "calibration_slopes"], ["calibration_scaled"]),
            helper.make_node("Add", ["calibration_scaled", "calibration_intercepts"], ["calibration_logits"]),
            helper.make_node("Softmax", ["calibration_logits"], [PROBABILITIES], axis=1),
        ]
    )


def frame_arrays(contract: Contract, frame: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """A frame as the compiled model's inputs, a column of shape (records, 1) for each feature."""
    return {
        f.name: frame[f.name].to_numpy(np.float32 if f.is_numeric else object).reshape(-1, 1) for f in contract.features
    }


def compare_scores(
    contract: Contract, fitted: NDArray[np.floating[Any]], compiled: NDArray[np.floating[Any]]
) -> Agreement:
    """Compares the fitted and the compiled model's scores on the same records."""
    difference = np.abs(fitted - compiled)
    if not contract.kind.is_classification:
        spread = max(float(np.std(fitted)), np.finfo(np.float32).tiny)
        return Agreement(records=len(fitted), largest_difference=float(difference.max() / spread), other_decisions=0)
    other = (contract.decide(fitted) != contract.decide(compiled)) & ~_undecided(contract, fitted)
    return Agreement(
        records=len(fitted), largest_difference=float(difference.max()), other_decisions=int(np.count_nonzero(other))
    )


def _undecided(contract: Contract, scores: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    if len(contract.target.classes) == 2:
        return np.asarray(np.abs(scores[:, 1] - contract.threshold) <= TOLERANCE)
    highest = np.sort(scores, axis=1)[:, -2:]
    return np.asarray(highest[:, 1] - highest[:, 0] <= TOLERANCE)

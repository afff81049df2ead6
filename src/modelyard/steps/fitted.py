"""What a version's fitted pipeline says of records. It is read in a process of its own, and never by its own account.

The pipeline comes from where anybody may have put it. MLflow's loader would read it as the `MLmodel` file beside it
says, which may name pickle or a module of their own; here it is read by skops with the fixed list of types. What such
types do with what they are given (trees that turn in circles or end outside of their memory) that list does not say:
hence the process.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from modelyard.contract import Contract
from modelyard.errors import UnusableModel
from modelyard.models.onnx.isolation import Limits, run_apart
from modelyard.steps.stores import Platform
from modelyard.stores.registry import TRUSTED_TYPES

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FITTED_FILE = "model.skops"
RECORDS_FILE = "records.npz"
CONTRACT_FILE = "contract.json"
SCORES_FILE = "scores.npy"

# Of the interpreter with scikit-learn; what a pipeline takes besides follows from its file.
BASE_MEMORY_BYTES = 4 * 2**30
MEMORY_PER_BYTE = 10
# Forests answer a test part in seconds.
PROCESSOR_SECONDS = 600
SECONDS = 900
BYTES_PER_SCORE = 8
HEADER_BYTES = 1024


def score_fitted(
    platform: Platform, use_case: str, version: int, contract: Contract, frame: "pd.DataFrame"
) -> "NDArray[np.floating[Any]]":
    """The scores of a version's fitted pipeline on a frame.

    Args:
        platform: Where the registry is.
        use_case: Whose version.
        version: Which.
        contract: Says what it takes and gives.
        frame: A column for each feature.

    Raises:
        StepFailed: It cannot be used; the message says why.
        ServiceUnavailable: It cannot be fetched.
    """
    with TemporaryDirectory(prefix="modelyard-") as name:
        folder = Path(name)
        platform.registry.download(use_case, version, folder, (FITTED_FILE,), platform.settings.model_limit_bytes)
        (folder / CONTRACT_FILE).write_text(contract.model_dump_json(), encoding="utf-8")
        np.savez(folder / RECORDS_FILE, *_columns(contract, frame), allow_pickle=False)
        shape = (len(frame), len(contract.target.classes) or 1)
        try:
            run_apart(f"{__name__}:write_scores", [name], _limits(folder, shape))
            return _read_scores(folder / SCORES_FILE, shape)
        except UnusableModel as error:
            raise UnusableModel(f"{use_case} version {version}: its {FITTED_FILE} cannot be used: {error}") from error


def write_scores(folder: str) -> None:
    """Scores the records of a folder with its pipeline; what `score_fitted` does in another process."""
    import pandas as pd

    from modelyard.models.tabular.pipeline import fitted_scores

    contract = Contract.model_validate_json((Path(folder) / CONTRACT_FILE).read_bytes())
    with np.load(Path(folder) / RECORDS_FILE, allow_pickle=False) as columns:
        named = zip(contract.names, columns.values(), strict=True)
        frame = pd.DataFrame({name: _as_in_frames(column) for name, column in named})
    pipeline = read_fitted(Path(folder) / FITTED_FILE)
    scores = np.asarray(fitted_scores(pipeline, contract, frame), dtype=np.float64)
    np.save(Path(folder) / SCORES_FILE, scores, allow_pickle=False)


def read_fitted(path: Path) -> Any:
    """A pipeline from a file of skops's, with nothing in it but scikit-learn's estimators and the fixed list of types.

    Raises:
        UnusableModel: There is something else in it.
    """
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        return skops.io.load(path, trusted=list(TRUSTED_TYPES))
    except UntrustedTypesFoundException as error:
        raise UnusableModel(f"it holds types that are not read: {error}") from error


def _columns(contract: Contract, frame: "pd.DataFrame") -> "list[NDArray[Any]]":
    return [frame[f.name].to_numpy(np.float32 if f.is_numeric else np.str_) for f in contract.features]


def _as_in_frames(column: "NDArray[Any]") -> "NDArray[Any]":
    return column.astype(object) if column.dtype.kind == "U" else column


def _limits(folder: Path, shape: tuple[int, int]) -> Limits:
    memory_bytes = BASE_MEMORY_BYTES + MEMORY_PER_BYTE * sum(path.stat().st_size for path in folder.iterdir())
    scores_bytes = shape[0] * shape[1] * BYTES_PER_SCORE + HEADER_BYTES
    return Limits(memory_bytes, PROCESSOR_SECONDS, SECONDS, scores_bytes)


def _read_scores(path: Path, shape: tuple[int, int]) -> "NDArray[np.floating[Any]]":
    try:
        scores: NDArray[np.floating[Any]] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UnusableModel("it left no scores") from error
    if scores.shape != shape or scores.dtype != np.float64:
        raise UnusableModel(f"it left scores of shape {scores.shape} for {shape[0]} records")
    return scores

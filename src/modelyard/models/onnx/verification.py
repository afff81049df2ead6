"""Models that others made, loaded where they are used only after a process of its own has done the same."""

from pathlib import Path

from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import PACKAGE_FILES, CompiledModel
from modelyard.models.onnx.isolation import Limits, run_apart

# Of the interpreter with its libraries. What a model takes besides follows from its files: they are read, parsed, and
# laid out for computing.
BASE_MEMORY_BYTES = 2**30
MEMORY_PER_BYTE = 10
# A forest of 300 MB takes a tenth of it. Both are shorter than a deployment waits.
PROCESSOR_SECONDS = 30
SECONDS = 90


def load_checked(folder: Path, use_case: str) -> CompiledModel:
    """A model that others made: tried in a process of its own, then loaded here.

    Args:
        folder: Its files.
        use_case: Whose model it must be.

    Raises:
        UnusableModel: It cannot be used, takes too much time or memory, or answers its example otherwise.
    """
    size = sum((folder / name).stat().st_size for name in PACKAGE_FILES)
    memory_bytes = BASE_MEMORY_BYTES + MEMORY_PER_BYTE * size
    run_apart(f"{__name__}:try_model", [str(folder), use_case], Limits(memory_bytes, PROCESSOR_SECONDS, SECONDS))
    return load_verified(folder, use_case)


def load_verified(folder: Path, use_case: str) -> CompiledModel:
    """A model from a folder in which nobody else writes, tried before.

    Raises:
        UnusableModel: It cannot be used, belongs to another use case, or answers otherwise; the message says which.
    """
    model = CompiledModel.load(folder)
    if model.contract.use_case != use_case:
        raise UnusableModel(f"its contract is that of {model.contract.use_case}, not of {use_case}")
    model.prove()
    return model


def try_model(folder: str, use_case: str) -> None:
    """Loads a model and has it answer its example; what `load_checked` does in another process.

    Raises:
        UnusableModel: It cannot be used.
    """
    load_verified(Path(folder), use_case)

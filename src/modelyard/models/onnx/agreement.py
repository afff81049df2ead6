"""Whether a compiled model is the same as the fitted one that it was made from."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from modelyard.contract import Contract, Frozen

# Compiled models compute in float32, fitted ones in float64.
TOLERANCE = 1e-4


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

"""What a compiled model says of a frame, be it a table or the keys of pictures."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from modelyard.contract import Pixels
from modelyard.models.onnx.compiled import CompiledModel
from modelyard.models.tabular.export import frame_arrays
from modelyard.pictures import resized

# A network's inner arrays take many times the room of the pictures.
PICTURES_AT_A_TIME = 32


class PixelSource(Protocol):
    """Whoever has the pixels of pictures."""

    def pixels(self, keys: Sequence[str]) -> Pixels:
        """The pixels of the pictures with these keys, of shape (pictures, height, width, channels)."""


def frame_scores(model: CompiledModel, frame: pd.DataFrame, source: PixelSource) -> NDArray[np.floating[Any]]:
    """A compiled model's scores on a frame; pictures are read some at a time, and resized if the model wants.

    Args:
        model: The model.
        frame: A column for each feature; of pictures, the keys of their pixels.
        source: Has the pixels.
    """
    feature = model.contract.features[0]
    if not feature.is_image:
        return model.scores(frame_arrays(model.contract, frame))
    keys, shape = frame[feature.name].tolist(), feature.image_shape
    scores = []
    for start in range(0, len(keys), PICTURES_AT_A_TIME):
        pictures = source.pixels(keys[start : start + PICTURES_AT_A_TIME])
        scores.append(model.scores({feature.name: np.stack([resized(each, shape) for each in pictures])}))
    return np.concatenate(scores)

"""Networks for pictures. A candidate names one of these functions, or one like them of your own.

Each takes the shape of the pictures, how many classes there are, and the candidate's parameters that are not about
fitting; and gives a Keras model from pixels (uint8) to probabilities. One that takes `weights` gets the path of the
file that PRETRAINED_WEIGHTS names, or none.
"""

from pathlib import Path
from typing import Any

import keras
from keras import layers

from modelyard.contract import Shape

# As in the network that many tutorials use for the public pictures of skin lesions.
FILTERS = 64
DROPOUT = 0.25
UNITS = 128
REASON_LENGTH = 200
# Of blue, green and red, over the pictures that the published weights were fitted on.
IMAGENET_MEAN = (103.939, 116.779, 123.68)


def basic(
    shape: Shape, classes: int, activation: str = "relu", initializer: str = "glorot_uniform", filters: int = FILTERS
) -> keras.Model:
    """Two convolutions, each with pooling and dropout, and a dense layer.

    Args:
        shape: Height, width and channels.
        classes: How many.
        activation: Of the convolutions and the dense layer.
        initializer: Of their weights.
        filters: Of each convolution.
    """
    pixels = keras.Input(shape, dtype="uint8")
    hidden = layers.Rescaling(1 / 255)(pixels)
    for _ in range(2):
        hidden = layers.Conv2D(filters, 3, padding="same", activation=activation, kernel_initializer=initializer)(
            hidden
        )
        hidden = layers.Dropout(DROPOUT)(layers.MaxPooling2D()(hidden))
    hidden = layers.Dense(UNITS, activation=activation, kernel_initializer=initializer)(layers.Flatten()(hidden))
    return keras.Model(pixels, _probabilities(hidden, classes))


def resnet50(
    shape: Shape,
    classes: int,
    pooling: str = "avg",
    activation: str = "relu",
    initializer: str = "glorot_uniform",
    weights: Path | None = None,
) -> keras.Model:
    """ResNet50 (He and others, Deep Residual Learning for Image Recognition, 2015), and one layer on top of it.

    Args:
        shape: Height, width and channels.
        classes: How many.
        pooling: How the last pictures become numbers: avg or max.
        activation: Only relu: it is part of the architecture.
        initializer: Of the top layer's weights; those below have the architecture's.
        weights: A file with weights of all but the top layer, which were fitted on pixels as
            `keras.applications.resnet50.preprocess_input` makes them; None: random ones, and pixels from 0 to 1.

    Raises:
        ValueError: The activation is another one, or the weights are of another network.
    """
    if activation != "relu":
        raise ValueError(f"ResNet50 has the activation relu, not {activation}")
    pixels = keras.Input(shape, dtype="uint8")
    colours = layers.Concatenate()([pixels] * 3) if shape[2] == 1 else pixels
    scaled = layers.Rescaling(1 / 255)(colours) if weights is None else _as_imagenet_was_seen(colours)
    network = keras.applications.ResNet50(include_top=False, weights=None, input_tensor=scaled, pooling=pooling)
    if weights is not None:
        _start_from(network, weights)
    return keras.Model(pixels, _probabilities(network.output, classes, initializer))


def _as_imagenet_was_seen(colours: Any) -> Any:
    """Pixels from 0 to 255, blue first, less the mean of each colour."""
    blue_first = keras.ops.take(colours, [2, 1, 0], axis=-1)
    return layers.Rescaling(1.0, offset=[-mean for mean in IMAGENET_MEAN])(blue_first)


def _start_from(network: keras.Model, weights: Path) -> None:
    try:
        network.load_weights(str(weights))
    # Keras and the format's library each have their own for a file that is damaged or of another network.
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0][:REASON_LENGTH]
        raise ValueError(f"{weights.name} (PRETRAINED_WEIGHTS) holds no weights that fit it: {reason}") from error


def _probabilities(hidden: Any, classes: int, initializer: str = "glorot_uniform") -> Any:
    return layers.Dense(classes, activation="softmax", kernel_initializer=initializer)(hidden)

"""Networks that are none of ours."""

from pathlib import Path

import keras

from modelyard.contract import Shape


def flat(shape: Shape, classes: int) -> keras.Model:
    """One layer."""
    pixels = keras.Input(shape, dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Dense(classes, activation="softmax")(flat))


def pretrained(shape: Shape, classes: int, weights: Path | None = None) -> keras.Model:
    """One layer that may start from weights."""
    model = flat(shape, classes)
    if weights is not None:
        model.load_weights(str(weights))
    return model

"""A network that is not one of ours."""

import keras

from modelyard.contract import Shape


def flat(shape: Shape, classes: int) -> keras.Model:
    """One layer."""
    pixels = keras.Input(shape, dtype="uint8")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(pixels, keras.layers.Dense(classes, activation="softmax")(flat))

"""How a network is fitted on pictures: batch by batch from arrays that stay on disk, the same way for the same seed."""

import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras.callbacks import Callback, ReduceLROnPlateau
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from sklearn.model_selection import StratifiedKFold

from modelyard.contract import Contract, Frozen, Pixels
from modelyard.errors import BadInput, StepFailed
from modelyard.models.inputs import PixelSource
from modelyard.use_case import Candidate

# What is read at a time where nothing is learnt.
PREDICTED_AT_A_TIME = 64

History = dict[str, tuple[float, ...]]
Scores = NDArray[np.floating[Any]]


class Fitting(Frozen):
    """How a network is fitted: what of a candidate's parameters does not go into building it.

    Attributes:
        optimizer: Keras's name of it.
        loss: Keras's name of it; classes are given as one of many.
        learning_rate: At the start.
        batch_size: Pictures that are learnt from at a time.
        epochs: How often all of them are.
        plateau_patience: After so many epochs without a smaller loss on the validation part the rate is reduced.
        plateau_factor: By which.
        minimum_learning_rate: Below which it is not reduced.
        folds: Into so many parts the training part is divided for a cross-validation, which then chooses the number of
            epochs; None: there is none.
    """

    optimizer: str = "adam"
    loss: str = "categorical_crossentropy"
    learning_rate: float = Field(default=1e-3, gt=0)
    batch_size: int = Field(default=32, ge=1)
    epochs: int = Field(default=10, ge=1)
    plateau_patience: int = Field(default=5, ge=1)
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    minimum_learning_rate: float = Field(default=1e-7, ge=0)
    folds: int | None = Field(default=None, ge=2)


class Part(NamedTuple):
    """Pictures of one part of a snapshot.

    Attributes:
        source: Has their pixels.
        keys: Their keys there.
        classes: The index of each picture's class.
    """

    source: PixelSource
    keys: Sequence[str]
    classes: NDArray[np.intp]

    def of(self, positions: NDArray[np.intp]) -> "Part":
        """Some of them."""
        return Part(self.source, [self.keys[position] for position in positions], self.classes[positions])


class Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Pictures as Keras takes them: pixels and one-of-many classes, some at a time; in a new order each epoch.

    Args:
        part: The pictures.
        classes: How many classes there are.
        size: Pictures in a batch.
        seed: Of the orders; None: they stay in theirs.
    """

    def __init__(self, part: Part, classes: int, size: int, seed: int | None = None) -> None:
        super().__init__()
        self._part = part
        self._one_of_many = np.eye(classes, dtype=np.float32)
        self._size = size
        self._random = None if seed is None else np.random.default_rng(seed)
        self._order = np.arange(len(part.keys))
        self.on_epoch_end()

    def __len__(self) -> int:
        return math.ceil(len(self._order) / self._size)

    def __getitem__(self, index: int) -> tuple[Pixels, NDArray[np.float32]]:
        chosen = self._part.of(self._order[index * self._size : (index + 1) * self._size])
        return chosen.source.pixels(chosen.keys), self._one_of_many[chosen.classes]

    def on_epoch_end(self) -> None:
        """Shuffles them."""
        if self._random is not None:
            self._random.shuffle(self._order)


class Network(NamedTuple):
    """A fitted network.

    Attributes:
        model: The Keras model.
        history: What was measured after each epoch, by name.
        metrics: What was found besides.
    """

    model: keras.Model
    history: History
    metrics: dict[str, float]


def fit_network(
    candidate: Candidate, contract: Contract, train: Part, validation: Part, seed: int, weights: Path | None
) -> Network:
    """Builds a candidate's network and fits it on the training part.

    With folds, cross-validation on the training part chooses the number of epochs first. The validation part only
    reduces the learning rate.

    Args:
        candidate: Its estimator is a function that builds a network; `modelyard.models.images.architectures` has some.
        contract: Shape and classes.
        train: What is learnt from.
        validation: What is not.
        seed: Of everything random.
        weights: A file with weights to start from, for a network that takes some.

    Raises:
        BadInput: The network cannot be built with these parameters.
        StepFailed: There are fewer pictures of every class than folds.
    """
    fitting, build = _parts_of(candidate, contract, weights)
    keras.utils.set_random_seed(seed)
    metrics: dict[str, float] = {}
    history: History = {}
    if fitting.folds:
        history, metrics = _cross_validated(fitting, fitting.folds, build, len(contract.target.classes), train, seed)
        fitting = fitting.model_copy(update={"epochs": int(metrics["cross_validation_epochs"])})
    model = build()
    fitted = _fitted(model, fitting, len(contract.target.classes), train, validation, seed)
    return Network(model, history | fitted, metrics)


def network_scores(model: keras.Model, part: Part, classes: int) -> Scores:
    """A network's probabilities, of shape (pictures, classes).

    Raises:
        StepFailed: It says what is no number.
    """
    scores = np.asarray(model.predict(Batches(part, classes, PREDICTED_AT_A_TIME), verbose=0), dtype=np.float64)
    if not np.isfinite(scores).all():
        raise StepFailed("the network's answers are no numbers: a smaller learning_rate keeps its weights finite")
    return scores


def _cross_validated(
    fitting: Fitting, folds: int, build: Callable[[], keras.Model], classes: int, train: Part, seed: int
) -> tuple[History, dict[str, float]]:
    most = int(np.bincount(train.classes).max())
    if most < folds:
        raise StepFailed(f"{folds} folds want as many pictures of a class, and none has more than {most}")
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    histories = []
    for learnt, left_out in parts.split(train.keys, train.classes):
        histories.append(_fitted(build(), fitting, classes, train.of(learnt), train.of(left_out), seed))
    loss = np.mean([history["val_loss"] for history in histories], axis=0)
    accuracy = [history["val_accuracy"] for history in histories]
    best = int(np.argmin(loss))
    metrics = {
        "cross_validation_epochs": best + 1,
        "cross_validation_loss": float(loss[best]),
        "cross_validation_accuracy": float(np.mean([each[best] for each in accuracy])),
        "cross_validation_accuracy_deviation": float(np.std([each[best] for each in accuracy])),
    }
    named = {f"fold_{n}_{name}": values for n, each in enumerate(histories, 1) for name, values in each.items()}
    return named, metrics


def _fitted(model: keras.Model, fitting: Fitting, classes: int, train: Part, validation: Part, seed: int) -> History:
    optimizer = keras.optimizers.get(
        {"class_name": fitting.optimizer, "config": {"learning_rate": fitting.learning_rate}}
    )
    model.compile(optimizer, fitting.loss, metrics=["accuracy"])
    fitted = model.fit(
        Batches(train, classes, fitting.batch_size, seed),
        validation_data=Batches(validation, classes, fitting.batch_size),
        epochs=fitting.epochs,
        callbacks=[_plateau(fitting)],
        shuffle=False,
        verbose=0,
    )
    return {name: tuple(map(float, values)) for name, values in fitted.history.items()}


def _plateau(fitting: Fitting) -> Callback:
    return ReduceLROnPlateau(
        monitor="val_loss",
        patience=fitting.plateau_patience,
        factor=fitting.plateau_factor,
        min_lr=fitting.minimum_learning_rate,
    )


def _parts_of(
    candidate: Candidate, contract: Contract, weights: Path | None
) -> tuple[Fitting, Callable[[], keras.Model]]:
    builder = _resolve(candidate)
    of_fitting = {name: value for name, value in candidate.parameters.items() if name in Fitting.model_fields}
    of_building: dict[str, Any] = {n: value for n, value in candidate.parameters.items() if n not in of_fitting}
    if weights is not None and takes_weights(candidate):
        of_building["weights"] = weights
    shape, classes = contract.features[0].shape, len(contract.target.classes)

    def build() -> keras.Model:
        try:
            return builder(shape, classes, **of_building)
        except (TypeError, ValueError, OSError) as error:
            raise BadInput(f"candidate {candidate.name}: {candidate.estimator} cannot be made: {error}") from error

    try:
        return Fitting.model_validate(of_fitting), build
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"candidate {candidate.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def takes_weights(candidate: Candidate) -> bool:
    """Whether a candidate's network can start from weights that are there already."""
    return "weights" in inspect.signature(_resolve(candidate)).parameters


def _resolve(candidate: Candidate) -> Callable[..., keras.Model]:
    module_name, _, name = candidate.estimator.rpartition(".")
    try:
        found: Callable[..., keras.Model] = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError) as error:
        raise BadInput(f"candidate {candidate.name}: there is no estimator {candidate.estimator}") from error
    return found

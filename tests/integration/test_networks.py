"""Networks of a few weights on pictures of a few pixels; TensorFlow's start takes most of the time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pandas as pd
import pytest

from modelyard.contract import Calibration, Pixels
from modelyard.errors import BadInput, StepFailed
from modelyard.models.calibration import calibrate, calibrated
from modelyard.models.evaluation.metrics import choose_threshold
from modelyard.models.fit import Fitted, loaded
from modelyard.models.images import training
from modelyard.models.images.architectures import resnet50
from modelyard.models.images.export import compile_network
from modelyard.models.images.fit import figures, fit_pictures
from modelyard.models.images.fitted_scores import SCORES_FILE, scores_of
from modelyard.models.images.training import Part, network_scores
from modelyard.models.inputs import frame_scores
from modelyard.models.onnx.compiled import CONTRACT_FILE, MODEL_FILE, CompiledModel
from modelyard.stores.registry import _without_optimizer
from modelyard.use_case import Candidate, UseCase
from tests.own_network import flat
from tests.painted import CLASSES, SHAPE, pixels, weather

COUNTS = {"train": 48, "validation": 20, "test": 24}


class Painted:
    """Pixels by keys such as `warm:7`."""

    def pixels(self, keys: Sequence[str]) -> Pixels:
        pairs = (key.split(":") for key in keys)
        return np.stack([pixels(label, int(seed)) for label, seed in pairs])


def frames() -> dict[str, pd.DataFrame]:
    made = {}
    for number, (part, count) in enumerate(COUNTS.items()):
        labels = [CLASSES[index % 2] for index in range(count)]
        keys = [f"{label}:{1000 * number + index}" for index, label in enumerate(labels)]
        made[part] = pd.DataFrame({"photo": keys, "kind": labels}, index=pd.Index(keys, name="record_key"))
    return made


def fitted(use_case: UseCase, weights: Path | None = None, **changes: Any) -> Fitted:
    candidate = use_case.candidates[0].model_copy(update=changes)
    return fit_pictures(use_case, candidate, frames(), Painted(), weights)


@pytest.fixture(scope="module")
def model() -> Fitted:
    return fitted(weather())


def test_the_compiled_network_is_the_fitted_one(model: Fitted) -> None:
    assert model.agreement.holds, str(model.agreement)
    assert model.agreement.records == COUNTS["test"]


def test_it_learns_and_beats_the_dummy(model: Fitted) -> None:
    assert model.test["roc_auc"] > model.baseline["roc_auc"] + 0.2


def test_the_same_pictures_and_seed_give_the_same_network(model: Fitted) -> None:
    again = fitted(weather())
    assert again.test == model.test
    assert again.history == model.history
    assert np.array_equal(again.test_scores, model.test_scores)


def test_it_proves_itself_on_the_example_that_travels_with_it(model: Fitted) -> None:
    compiled: CompiledModel = loaded(model.files)
    compiled.prove()
    [feature] = compiled.contract.features
    assert compiled.contract.example.keys() == {"photo"}
    assert feature.seen is not None
    assert feature.seen.count == COUNTS["train"]
    assert "brightness" in str(feature.unusual(np.zeros(SHAPE, dtype=np.uint8)))


def test_the_validation_part_sets_the_threshold_and_watches_the_loss(model: Fitted) -> None:
    part = frames()["validation"]
    positive = (part["kind"] == CLASSES[1]).to_numpy()
    probability = frame_scores(loaded(model.files), part, Painted())[:, 1]
    chosen = choose_threshold(weather().objective, positive, probability)
    assert model.contract.threshold == pytest.approx(chosen, abs=1e-5)
    network = network_scores(model.pipeline, Part(Painted(), part["photo"].tolist(), positive.astype(np.intp)), 2)
    loss = -np.log(np.where(positive, network[:, 1], network[:, 0])).mean()
    assert model.history["val_loss"][-1] == pytest.approx(loss, rel=1e-3)


def test_the_validation_part_calibrates_and_the_graph_does_it(model: Fitted) -> None:
    part = frames()["test"]
    network = network_scores(model.pipeline, Part(Painted(), part["photo"].tolist(), np.zeros(len(part), np.intp)), 2)
    calibration = Calibration(slopes=(0.5, 0.8), intercepts=(0.0, 1.0))
    contract = model.contract.model_copy(update={"calibration": calibration})
    graph = {MODEL_FILE: compile_network(model.pipeline, contract), CONTRACT_FILE: contract.model_dump_json().encode()}
    compiled = frame_scores(loaded(model.files | graph), part, Painted())
    np.testing.assert_allclose(compiled, calibrate(network, calibration), atol=1e-5)
    np.testing.assert_allclose(calibrated(network, model.contract.calibration), model.test_scores, atol=1e-5)
    assert model.contract.reliability is not None
    assert model.folds == 1


def test_what_it_said_of_the_test_part_is_kept(model: Fitted) -> None:
    keys = [*frames()["test"].index[:3], "unknown"]
    positions, scores = scores_of(model.files[SCORES_FILE], keys, 2)
    assert positions.tolist() == [0, 1, 2]
    assert np.array_equal(scores, model.test_scores[:3])


def test_a_model_of_another_shape_can_be_judged_on_the_same_pictures(model: Fitted) -> None:
    class Larger(Painted):
        def pixels(self, keys: Sequence[str]) -> Pixels:
            return np.repeat(np.repeat(super().pixels(keys), 2, axis=1), 2, axis=2)

    scores = frame_scores(loaded(model.files), frames()["test"], Larger())
    assert np.corrcoef(scores[:, 1], model.test_scores[:, 1])[0, 1] > 0.95


def test_each_epoch_is_kept_and_shown(model: Fitted) -> None:
    assert {"loss", "val_loss", "accuracy", "val_accuracy", "learning_rate"} <= set(model.history)
    assert {len(values) for values in model.history.values()} == {4}
    assert "learning_curves" in figures(model, frames()["test"])


def test_the_learning_rate_is_reduced_where_nothing_gets_better() -> None:
    parameters = {"filters": 1, "epochs": 3, "learning_rate": 1e-9, "plateau_patience": 1, "minimum_learning_rate": 0.0}
    rates = fitted(weather(), parameters=parameters).history["learning_rate"]
    assert rates[-1] < rates[0]


def test_a_network_that_overflows_is_a_sentence() -> None:
    overflowing = {"filters": 1, "epochs": 1, "optimizer": "sgd", "learning_rate": 1e30}
    with pytest.raises(StepFailed, match="a smaller learning_rate"):
        fitted(weather(), parameters=overflowing)


@pytest.mark.long
def test_cross_validation_chooses_the_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    fit_once, parts = training._fitted, []

    def watched(*arguments: Any) -> training.History:
        parts.append([set(part.keys) for part in arguments if isinstance(part, training.Part)])
        return fit_once(*arguments)

    monkeypatch.setattr(training, "_fitted", watched)
    model = fitted(weather(epochs=3, folds=3))
    *folds, (train, validation) = parts
    assert validation == set(frames()["validation"].index)
    for learnt, left_out in folds:
        assert (learnt | left_out, learnt & left_out) == (train, set())
    epochs = model.validation["cross_validation_epochs"]
    assert 1 <= epochs <= 3
    assert len(model.history["loss"]) == epochs
    assert {f"fold_{n}_val_loss" for n in (1, 2, 3)} <= set(model.history)


def test_more_folds_than_pictures_of_any_class_are_a_sentence() -> None:
    with pytest.raises(StepFailed, match="30 folds want as many pictures of a class, and none has more than 24"):
        fitted(weather(folds=30))


def test_resnet50_starts_from_the_weights_that_keras_has_written(tmp_path: Path) -> None:
    there = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3))
    there.save_weights(tmp_path / "some.weights.h5")
    again = resnet50((32, 32, 3), 2, weights=tmp_path / "some.weights.h5")
    for one, other in zip(there.get_weights(), again.get_weights()[:-2], strict=True):
        assert np.array_equal(one, other)


@pytest.mark.long
def test_weights_of_imagenet_see_pixels_as_they_were_fitted_on(tmp_path: Path) -> None:
    there = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(32, 32, 3), pooling="avg")
    there.save_weights(tmp_path / "some.weights.h5")
    again = resnet50((32, 32, 3), 2, weights=tmp_path / "some.weights.h5")
    seen = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    expected = there(keras.applications.resnet50.preprocess_input(seen.astype(np.float32)))
    below_the_top = keras.Model(again.inputs, again.layers[-1].input)
    np.testing.assert_allclose(below_the_top(seen), expected, rtol=1e-3, atol=1e-4)
    said = again(seen)
    compiled = onnxruntime.InferenceSession(compile_network(again, weather().contract()))
    np.testing.assert_allclose(compiled.run(None, {"photo": seen})[0], said, atol=1e-5)


def test_weights_that_do_not_fit_are_a_sentence(tmp_path: Path) -> None:
    for name, content in {"empty": b"", "text": b"none", "other": b""}.items():
        (tmp_path / f"{name}.weights.h5").write_bytes(content)
    flat(SHAPE, 2).save_weights(tmp_path / "other.weights.h5")
    for name in ("empty", "text", "other"):
        candidate = Candidate(name="deep", estimator="modelyard.models.images.architectures.resnet50")
        with pytest.raises(BadInput, match=rf"^candidate deep: .*{name}\.weights\.h5 \(PRETRAINED_WEIGHTS\) holds no"):
            fit_pictures(weather(), candidate, frames(), Painted(), tmp_path / f"{name}.weights.h5")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"estimator": "modelyard.models.images.architectures.nothing"},
            "there is no estimator modelyard.models.images.architectures.nothing",
        ),
        (
            {"parameters": {"colour": "red"}},
            r"small: modelyard\.models\.images\.architectures\.basic cannot be made: .*colour",
        ),
        ({"parameters": {"epochs": 0}}, "candidate small: epochs: Input should be greater than or equal to 1"),
    ],
)
def test_what_cannot_be_made_is_named(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        fitted(weather(), **changes)


def test_a_network_of_your_own_is_a_candidate() -> None:
    own = Candidate(name="own", estimator="tests.own_network.flat", parameters={"epochs": 1})
    assert fit_pictures(weather(), own, frames(), Painted()).agreement.holds


def test_the_registry_keeps_a_network_without_its_optimizer(tmp_path: Path) -> None:
    network = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(640), keras.layers.Dense(64), keras.layers.Dense(2)]
    )
    network.compile("adam", "mse")
    some = np.random.default_rng(0).normal(size=(8, 4))
    network.fit(some, np.zeros((8, 2)), verbose=0)
    kept = _without_optimizer(network)
    np.testing.assert_array_equal(kept.predict(some, verbose=0), network.predict(some, verbose=0))
    for name, model in (("whole", network), ("kept", kept)):
        model.save(tmp_path / f"{name}.keras")
    # Adam has two numbers more for each weight.
    assert (tmp_path / "kept.keras").stat().st_size < 0.6 * (tmp_path / "whole.keras").stat().st_size

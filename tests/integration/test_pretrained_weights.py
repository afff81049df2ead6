"""Trainings that start from weights of a file, on a real Postgres and a real MLflow."""

import re
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import mlflow
import numpy as np
import pytest

from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput
from modelyard.settings import Settings
from modelyard.steps.stores import Platform, connected
from modelyard.steps.train import TrainResult, train
from modelyard.use_case import Candidate, UseCase
from tests.integration.test_pictures import TODAY, loaded, preprocessed
from tests.own_network import flat
from tests.painted import CLASSES, SHAPE, weather, write_photos

# So slow that what is fitted is what it started from.
STILL = {"epochs": 1, "learning_rate": 1e-12}


@pytest.fixture
def use_case() -> UseCase:
    own = Candidate(name="own", estimator="tests.own_network.pretrained", parameters=STILL)
    return weather(name=f"weather_{uuid.uuid4().hex[:8]}").model_copy(update={"candidates": (own,)})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        modelyard_home=tmp_path,
        data_url=str(tmp_path),
        objects_url=str(tmp_path / "objects"),
        pretrained_weights="some.weights.h5",
    )


@pytest.fixture
def trained(
    use_case: UseCase, settings: Settings, empty_postgres: Postgres, tracking_uri: str, tmp_path: Path
) -> Iterator[Callable[[], TrainResult]]:
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as platform:
        loaded(use_case, platform, write_photos(tmp_path / "photos", 40))
        platform.results.keep("run", use_case.name, "preprocess", preprocessed(use_case, platform), 0.1, "")
        yield lambda: kept(train(use_case, "own", platform, "run", TODAY), use_case, platform)


def kept(result: TrainResult, use_case: UseCase, platform: Platform) -> TrainResult:
    platform.results.keep("run", use_case.name, "train", result, 0.1, "own")
    return result


def written(folder: Path, seed: int) -> list[Any]:
    """Weights of their own for every seed, and the file with them."""
    keras.utils.set_random_seed(seed)
    model = flat(SHAPE, len(CLASSES))
    model.save_weights(folder / "some.weights.h5")
    return list(model.get_weights())


def test_what_is_fitted_started_from_the_files_weights(trained: Callable[[], TrainResult], tmp_path: Path) -> None:
    weights = written(tmp_path, 1)
    result = trained()
    fitted = mlflow.tensorflow.load_model(result.model_uri)
    for one, other in zip(weights, fitted.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    needed = Path(mlflow.pyfunc.get_model_dependencies(result.model_uri)).read_text(encoding="utf-8")
    assert re.search("^keras==", needed, re.MULTILINE)
    assert re.search("^tensorflow([-_]cpu)?==", needed, re.MULTILINE)
    parameters = mlflow.MlflowClient().get_run(result.run_id).data.params
    assert parameters["weights.source"].endswith("some.weights.h5")
    assert len(parameters["weights.sha256"]) == 64


@pytest.mark.long
def test_other_weights_in_the_file_are_another_training_and_the_same_are_none(
    trained: Callable[[], TrainResult], tmp_path: Path
) -> None:
    written(tmp_path, 1)
    first, again = trained(), trained()
    written(tmp_path, 2)
    other = trained()
    assert (first.trained, again.trained, other.trained) == (True, False, True)
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_a_file_that_is_not_there_is_a_sentence(trained: Callable[[], TrainResult]) -> None:
    with pytest.raises(BadInput, match=r"some\.weights\.h5: there is no such file"):
        trained()

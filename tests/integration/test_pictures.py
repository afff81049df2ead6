"""Pictures from a folder to the row of a prediction, on a real Postgres, a real MLflow and a real API."""

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import mlflow
import numpy as np
import pytest
from sqlalchemy import Engine, text

from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput
from modelyard.models.images.fitted_scores import SCORES_FILE
from modelyard.models.inputs import frame_scores
from modelyard.models.onnx.compiled import PACKAGE_FILES, CompiledModel
from modelyard.settings import Settings
from modelyard.steps.deploy import deploy
from modelyard.steps.promote import promote
from modelyard.steps.prune import prune
from modelyard.steps.stores import Platform, connected, in_loaded_profile
from modelyard.stores.objects import arrays_folder, picture_name
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import Profile, UseCase
from tests.integration.pipeline import loaded, loop, preprocessed, train_all
from tests.painted import BAD, encoded, photo, shuffle_labels, weather, write_photos
from tests.services.running_api import RunningApi, running_api

# In the order of their names.
SOME_BAD = ("bomb", "empty", "text", "truncated_jpeg")
# Enough for the gate.
TEST_OF_EACH_CLASS = 55
PICKLED = (".pkl", ".pickle", ".joblib", ".cloudpickle")


@pytest.fixture(params=["folder", pytest.param("afar", marks=pytest.mark.long)])
def platform(
    request: pytest.FixtureRequest, empty_postgres: Postgres, tracking_uri: str, tmp_path: Path
) -> Iterator[Platform]:
    url = str(tmp_path / "objects") if request.param == "folder" else f"memory://{tmp_path.name}"
    settings = Settings(_env_file=None, modelyard_home=tmp_path, objects_url=url, keep_snapshots=1)
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores
    fsspec.filesystem("memory").store.clear()


@pytest.fixture(scope="module")
def api(tracking_uri: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    home, url = tmp_path_factory.mktemp("home"), postgres.url("raw_data", "api")
    with running_api(["services.api"], home, url, mlflow_tracking_uri=tracking_uri) as running:
        yield running


@pytest.fixture
def use_case() -> UseCase:
    return weather(name=f"weather_{uuid.uuid4().hex[:8]}", epochs=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photos(tmp_path / "photos", 40, "train")
    return write_photos(tmp_path / "photos", TEST_OF_EACH_CLASS, "test", seed=1000)


def fetch(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_from_a_folder_to_the_row_of_a_prediction(
    use_case: UseCase, platform: Platform, folder: Path, api: RunningApi, raw_engine: Engine
) -> None:
    promoted = loop(use_case, platform, folder)
    assert promoted.verdict is Verdict.PROMOTED, promoted.reasons
    assert promoted.metrics["roc_auc"] > promoted.baseline["roc_auc"] == 0.5
    assert "answers in 1 API process" in deploy(use_case, platform).message
    content = encoded(photo("warm", 5000))
    file = api.client.post(f"/predict/{use_case.name}", files={"photo": ("a.png", content)})
    in_json = api.answer({"photo": base64.b64encode(content).decode()}, use_case.name)
    answer = file.json()
    assert answer["probability"] == pytest.approx(in_json["probability"])
    fitted = mlflow.tensorflow.load_model(f"models:/{use_case.name}/{promoted.version}")
    [wanted] = fitted.predict(np.asarray(photo("warm", 5000))[np.newaxis], verbose=0)[:, 1]
    assert answer["probability"] == pytest.approx(float(wanted), abs=1e-5)
    [row] = fetch(raw_engine, f"select use_case, features from predictions where request_id = '{answer['request_id']}'")
    assert (row[0], row[1]["photo"]["format"]) == (use_case.name, "PNG")
    check_run(platform, use_case, promoted.version)


def check_run(platform: Platform, use_case: UseCase, version: int) -> None:
    client = mlflow.MlflowClient()
    run_id = platform.registry.version(use_case.name, version).run_id
    run = client.get_run(run_id)
    assert run.data.params["picture.height"] == "16"
    assert run.data.params["records.test.warm"] == str(TEST_OF_EACH_CLASS)
    assert [metric.step for metric in client.get_metric_history(run_id, "val_loss")] == [1, 2, 3]
    kept = {Path(artifact.path).stem for artifact in client.list_artifacts(run_id, "plots")}
    assert kept == {"confusion_matrix", "precision_recall_curve", "reliability", "roc_curve", "learning_curves"}
    files = Path(mlflow.artifacts.download_artifacts(f"models:/{use_case.name}/{version}")).rglob("*")
    assert not [file for file in files if file.suffix in PICKLED]


def test_what_mlflow_loads_answers_as_the_compiled_model(
    use_case: UseCase, platform: Platform, folder: Path, tmp_path: Path
) -> None:
    version = loop(use_case, platform, folder).version
    platform.registry.download(use_case.name, version, tmp_path, PACKAGE_FILES, 2**30)
    snapshot = platform.clean.latest(use_case.data_name)
    assert snapshot is not None
    test = platform.clean.frame(use_case, snapshot.snapshot_id, "test")
    loaded_by_mlflow = mlflow.pyfunc.load_model(f"models:/{use_case.name}/{version}")
    with platform.objects.arrays() as arrays:
        compiled = frame_scores(CompiledModel.load(tmp_path), test, arrays)
        scores = loaded_by_mlflow.predict(arrays.pixels(test["photo"].tolist()))
    np.testing.assert_allclose(scores, compiled, atol=1e-5)


def test_the_second_time_nothing_is_done_again(use_case: UseCase, platform: Platform, folder: Path) -> None:
    loop(use_case, platform, folder)
    assert not loaded(use_case, platform, folder).new
    assert not preprocessed(use_case, platform).new
    assert promote(use_case, platform, unattended=True).verdict is Verdict.UNCHANGED


def test_shuffled_labels_are_refused(use_case: UseCase, platform: Platform, folder: Path) -> None:
    shuffle_labels(folder)
    result = loop(use_case, platform, folder)
    assert result.verdict is Verdict.REFUSED
    assert "it does not beat a dummy beyond chance" in result.reasons[0]


def test_a_compiled_network_that_is_not_the_fitted_one_is_refused(
    use_case: UseCase, platform: Platform, folder: Path, tmp_path: Path
) -> None:
    train_all(use_case, platform, folder)
    file = platform.registry.download(use_case.name, 1, tmp_path, (SCORES_FILE,), 2**30) / SCORES_FILE
    swapped = {key: scores[::-1] for key, scores in json.loads(file.read_bytes()).items()}
    file.write_text(json.dumps(swapped))
    [trained] = platform.results.newest(use_case.name, "train", "first")
    mlflow.MlflowClient().log_model_artifact(trained.result["model_uri"].removeprefix("models:/"), str(file))
    result = promote(use_case, platform, unattended=True)
    assert result.verdict is Verdict.REFUSED
    assert any("the compiled and the fitted model disagree" in reason for reason in result.reasons)


def test_the_folders_say_the_parts_and_a_fifth_of_train_validates(
    use_case: UseCase, platform: Platform, folder: Path
) -> None:
    loaded(use_case, platform, folder)
    rows = preprocessed(use_case, platform).rows
    assert rows["test"] == 2 * TEST_OF_EACH_CLASS
    assert rows["train"] + rows["validation"] == 80
    assert 0 < rows["validation"] < 30


def test_a_plain_folder_is_parted_by_the_pictures_themselves(
    use_case: UseCase, platform: Platform, tmp_path: Path
) -> None:
    loaded(use_case, platform, write_photos(tmp_path / "plain", 50))
    rows = preprocessed(use_case, platform).rows
    assert sum(rows.values()) == 100
    assert all(rows.values())


def test_the_arrays_are_the_pictures_in_the_order_of_their_keys(
    use_case: UseCase, platform: Platform, folder: Path, raw_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelyard.steps.shards.SHARD_PICTURES", 7)
    loaded(use_case, platform, folder)
    snapshot_id = preprocessed(use_case, platform).snapshot_id
    paths = dict(fetch(raw_engine, f"select record_key, photo from {use_case.name}"))
    with platform.objects.arrays() as arrays:
        for part in ("train", "validation", "test"):
            frame = platform.clean.frame(use_case, snapshot_id, part)
            for key, place in frame["photo"].items():
                original = np.asarray(
                    photo(paths[key].split("/")[1], int(Path(paths[key]).stem) + 1000 * (part == "test"))
                )
                assert np.array_equal(arrays.pixels([place])[0], original), paths[key]


def test_bad_pictures_are_set_aside_with_their_reasons(
    use_case: UseCase, platform: Platform, folder: Path, raw_engine: Engine
) -> None:
    for name in SOME_BAD:
        (folder / "train" / "warm" / f"{name}.jpg").write_bytes(BAD[name][0]())
    result = loaded(use_case, platform, folder)
    assert (result.rows_added, result.rows_rejected) == (190, len(SOME_BAD))
    query = f"select record, column_name, reason from rejected_records where use_case = '{use_case.name}' order by line"
    for (record, column, reason), name in zip(fetch(raw_engine, query), SOME_BAD, strict=True):
        assert (record, column) == (f"train/warm/{name}.jpg", "photo")
        assert f"{record} {BAD[name][1]}" in reason


def test_with_too_many_bad_pictures_nothing_is_loaded(use_case: UseCase, platform: Platform, tmp_path: Path) -> None:
    folder = write_photos(tmp_path / "few", 2)
    (folder / "warm" / "broken.jpg").write_bytes(b"?")
    with pytest.raises(
        BadInput, match=r"column photo: warm/broken\.jpg is no picture .* 1 of 5 records cannot be used"
    ):
        loaded(use_case, platform, folder)
    assert platform.raw.counts(use_case.name)["raw"] == 0


def test_a_picture_in_another_folder_is_the_same_record_with_another_class(
    use_case: UseCase, platform: Platform, folder: Path, raw_engine: Engine
) -> None:
    loaded(use_case, platform, folder)
    (folder / "train" / "warm" / "0003.png").rename(folder / "train" / "cold" / "9003.png")
    again = loaded(use_case, platform, folder)
    assert (again.rows_added, again.rows_revised) == (0, 1)
    [(kind,)] = fetch(raw_engine, f"select kind from {use_case.name} where revision = 2")
    assert kind == "cold"


def test_a_profile_has_records_of_its_own_and_the_steps_follow_the_load(
    use_case: UseCase, platform: Platform, folder: Path, tmp_path: Path
) -> None:
    declared = use_case.model_copy(update={"profiles": {"small": Profile(source="small")}})
    small = declared.in_profile("small")
    result = loaded(small, platform, write_photos(tmp_path / "small", 3, seed=7000))
    platform.results.keep("run", use_case.name, "load", result, 0.1, "")
    assert in_loaded_profile(declared, platform.results, "run").profile == "small"
    loaded(declared, platform, folder)
    assert sum(preprocessed(small, platform).rows.values()) == 6
    assert sum(preprocessed(declared, platform).rows.values()) == 190


def test_a_snapshot_goes_with_its_arrays_and_the_pictures_stay(
    use_case: UseCase, platform: Platform, folder: Path
) -> None:
    loaded(use_case, platform, folder)
    first = preprocessed(use_case, platform).snapshot_id
    write_photos(folder, 3, "train", seed=9000)
    loaded(use_case, platform, folder)
    second = preprocessed(use_case, platform).snapshot_id
    platform.results.keep("run", use_case.name, "preprocess", preprocessed(use_case, platform), 0.1, "")
    assert prune(use_case, platform).snapshots == (first,)
    assert not platform.objects.has(f"{arrays_folder(use_case.data_name, first)}/train-00000.npy")
    assert platform.objects.has(f"{arrays_folder(use_case.data_name, second)}/train-00000.npy")
    key = platform.clean.frame(use_case, second, "train").index[0]
    assert platform.objects.has(picture_name(use_case.data_name, str(key)))

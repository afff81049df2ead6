"""Every kind of table from its source to a row of a prediction, on a real Postgres, a real MLflow and a real API."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import mlflow
import numpy as np
import pytest
from sqlalchemy import Engine, text

from modelyard.catalog import find_use_case
from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.models.tabular.pipeline import fitted_scores
from modelyard.settings import Settings, child_environment
from modelyard.sources.locate import resolve
from modelyard.steps.compare import compare
from modelyard.steps.deploy import deploy
from modelyard.steps.load import load
from modelyard.steps.preprocess import preprocess
from modelyard.steps.promote import PromoteResult, promote
from modelyard.steps.stores import Platform, connected
from modelyard.steps.train import TrainResult, train
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import Candidate, RecordKey, Split, UseCase
from tests.services.running_api import RunningApi, free_port, running_api, wait_until

DATA = Path(__file__).parents[2] / "data"
TODAY = date(2026, 11, 20)
# Of a float that was written as JSON, and of float32 beside float64.
TOLERANCE = 1e-5

DIABETES = UseCase(
    name="diabetes",
    title="Diabetes",
    kind=TaskKind.REGRESSION,
    key=RecordKey(name="id", aliases=("",)),
    features=tuple(
        Feature(name=name, type=FeatureType.NUMBER)
        for name in ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    ),
    target=Target(name="progression", aliases=("target",), unit="points"),
    source="sklearn://diabetes",
    split=Split(train=0.5, validation=0.2, test=0.3),
    candidates=(
        Candidate(name="linear", estimator="sklearn.linear_model.LinearRegression", scale=True),
        Candidate(
            name="forest",
            estimator="sklearn.ensemble.RandomForestRegressor",
            parameters={"n_estimators": 50, "min_samples_leaf": 5},
        ),
    ),
    intervals=0.9,
)
CASES = {
    TaskKind.BINARY: find_use_case("credit_risk").in_profile("sample"),
    TaskKind.MULTICLASS: find_use_case("iris"),
    TaskKind.REGRESSION: DIABETES,
}
CURVES = {"confusion_matrix", "reliability", "precision_recall_curve", "roc_curve"}
SURE = {"log_loss", "log_loss_low", "log_loss_high", "brier_score", "calibration_error"}
# What MLflow keeps of a run: metrics and pictures.
RUNS = {
    TaskKind.BINARY: ({"accuracy", "precision", "recall", "roc_auc", "f1"} | SURE, CURVES),
    TaskKind.MULTICLASS: ({"accuracy", "precision_macro", "recall_macro", "roc_auc_ovr", "f1_macro"} | SURE, CURVES),
    TaskKind.REGRESSION: (
        {"r2", "mean_absolute_error", "root_mean_squared_error", "interval_coverage", "interval_width"},
        {"predicted_against_actual"},
    ),
}


@pytest.fixture
def platform(empty_postgres: Postgres, tracking_uri: str, home: Path) -> Iterator[Platform]:
    settings = Settings(_env_file=None, modelyard_home=home)
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture(scope="module")
def api(tracking_uri: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    home, url = tmp_path_factory.mktemp("home"), postgres.url("raw_data", "api")
    with running_api(["services.api"], home, url, mlflow_tracking_uri=tracking_uri) as running:
        yield running


@pytest.fixture(params=list(CASES))
def use_case(request: pytest.FixtureRequest) -> UseCase:
    return under_a_name_of_its_own(CASES[request.param])


def under_a_name_of_its_own(use_case: UseCase) -> UseCase:
    return use_case.model_copy(update={"name": f"{use_case.name}_{uuid.uuid4().hex[:8]}"})


def loop(use_case: UseCase, platform: Platform) -> PromoteResult:
    def keep(step: str, result: Any, part: str = "") -> None:
        platform.results.keep("run", use_case.name, step, result, 0.1, part)

    keep("load", load(use_case, resolve(use_case.source, str(DATA)), platform.raw, 0.0))
    keep("preprocess", preprocess(use_case, platform.raw, platform.clean))
    for candidate in use_case.candidates:
        keep("train", train(use_case, candidate.name, platform, "run", TODAY), candidate.name)
    keep("compare", compare(use_case, platform, "run"))
    return promote(use_case, platform, unattended=True)


def expected(use_case: UseCase, version: int, records: Any) -> Any:
    """What the fitted model that MLflow has says of records."""
    return fitted_scores(mlflow.sklearn.load_model(f"models:/{use_case.name}/{version}"), use_case.contract(), records)


def test_from_the_source_to_the_row_of_a_prediction(
    use_case: UseCase, platform: Platform, api: RunningApi, raw_engine: Engine
) -> None:
    promoted = loop(use_case, platform)
    assert promoted.verdict is Verdict.PROMOTED, promoted.reasons
    assert "answers in 1 API process" in deploy(use_case, platform).message
    check_run(platform, use_case, promoted.version)
    if use_case.kind is TaskKind.BINARY:
        check_borrowers(platform, use_case, promoted)

    snapshot = platform.clean.latest(use_case.data_name)
    assert snapshot is not None
    part = platform.clean.frame(use_case, snapshot.snapshot_id, "test").iloc[:20]
    scores = expected(use_case, promoted.version, part)
    shown = api.client.get("/info").json()["use_cases"][use_case.name]
    for row, score in zip(part.to_dict("records"), scores, strict=True):
        record = {name: None if row[name] != row[name] else row[name] for name in use_case.contract().names}
        answer = api.answer(record, use_case.name)
        assert answer["model_version"] == promoted.version
        check_answer(use_case, answer, score, shown["threshold"])
        check_row(raw_engine, answer, use_case)


def check_run(platform: Platform, use_case: UseCase, version: int) -> None:
    run_id = platform.registry.version(use_case.name, version).run_id
    run = mlflow.MlflowClient().get_run(run_id)
    metrics, pictures = RUNS[use_case.kind]
    assert {f"test_{name}" for name in metrics} <= set(run.data.metrics)
    kept = {Path(artifact.path).stem for artifact in mlflow.MlflowClient().list_artifacts(run_id, "plots")}
    assert kept == {*pictures, "feature_importance"}
    assert ("bootstrap" in run.data.tags) == (use_case.bootstrap is not None)
    fitted, train, validation = (int(run.data.params[f"records.{name}"]) for name in ("fitted", "train", "validation"))
    assert fitted == train + validation
    assert run.data.params["folds"] == "5"


def check_borrowers(platform: Platform, use_case: UseCase, promoted: PromoteResult) -> None:
    """Both candidates say the share that gets into trouble, and the one that saw all borrowers is chosen."""
    kept = [TrainResult.model_validate(each.result) for each in platform.results.newest(use_case.name, "train", "run")]
    undersampled, every = sorted(kept, key=lambda each: each.candidate)
    assert undersampled.test["brier_score"] < undersampled.baseline["brier_score"] < 0.07
    assert every.validation["average_precision"] > undersampled.validation["average_precision"]
    assert platform.registry.version(use_case.name, promoted.version).tags["candidate"] == every.candidate
    ends = mlflow.MlflowClient().get_run(undersampled.run_id).data.params
    assert 10 < int(ends["fitted.n_estimators_"]) < int(ends["n_estimators"])
    assert int(ends["records.fitted"]) < int(ends["records.train"]) / 4
    assert promoted.metrics["log_loss"] < promoted.baseline["log_loss"]


def check_answer(use_case: UseCase, answer: dict[str, Any], score: Any, threshold: float) -> None:
    classes = use_case.target.classes
    if use_case.kind is TaskKind.REGRESSION:
        assert answer["prediction"] == pytest.approx(score[0], rel=TOLERANCE)
        assert answer["probability"] is None
        assert answer["lower"] < answer["prediction"] < answer["upper"]
    elif use_case.kind is TaskKind.BINARY:
        assert answer["probability"] == pytest.approx(score[1], abs=TOLERANCE)
        # The threshold of the training decides, not one half.
        assert answer["prediction"] == classes[int(score[1] >= threshold)]
        assert threshold != 0.5
    else:
        assert answer["prediction"] == classes[int(np.argmax(score))]
        found = [answer["probabilities"][str(label)] for label in classes]
        np.testing.assert_allclose(found, score, atol=TOLERANCE)


def check_row(engine: Engine, answer: dict[str, Any], use_case: UseCase) -> None:
    query = text("select use_case, prediction, features from predictions where request_id = :request_id")
    with engine.connect() as connection:
        row = connection.execute(query, {"request_id": answer["request_id"]}).one()
    assert row.use_case == use_case.name
    assert row.prediction == answer["prediction"] or float(row.prediction) == answer["prediction"]
    assert set(row.features) == set(use_case.contract().names)


def test_bad_input_is_refused_in_sentences_that_name_the_field(
    use_case: UseCase, platform: Platform, api: RunningApi, raw_engine: Engine
) -> None:
    promoted = loop(use_case, platform)
    api.wait_for_version(promoted.version, use_case.name)
    example = api.client.get("/info").json()["use_cases"][use_case.name]["example"]
    first = use_case.contract().names[0]
    without = {name: value for name, value in example.items() if name != first}
    for record, words in (
        (without, f"{first} is missing"),
        (example | {first: "much"}, f"{first} must be a number"),
        (example | {first: None}, f"{first} must be a number"),
        (example | {first: 1e300}, f"{first} must be a number"),
        (example | {"unknown": 1}, "'unknown' is not a field"),
    ):
        response = api.predict(record, use_case.name)
        assert response.status_code == 422, response.text
        assert words in response.text
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 0


@contextmanager
def served_by_mlflow(model: str, tracking_uri: str, log: Path) -> Iterator[httpx.Client]:
    """What `mlflow models serve` serves, once it answers."""
    port = free_port()
    command = Path(sys.executable).with_name("mlflow")
    where = ["--env-manager", "local", "-h", "127.0.0.1", "-p", str(port)]
    arguments = [str(command), "models", "serve", "-m", model, *where]
    # It starts uvicorn by its name.
    path = f"{command.parent}:{child_environment({})['PATH']}"
    environment = child_environment({"MLFLOW_TRACKING_URI": tracking_uri, "PATH": path})
    with (
        log.open("wb") as output,
        subprocess.Popen(arguments, env=environment, stdout=output, stderr=output) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        try:
            wait_until(lambda: answers(client, process), log.read_text)
            yield client
        finally:
            process.terminate()


def answers(client: httpx.Client, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None
    try:
        return client.get("/ping").is_success
    except httpx.TransportError:
        return False


@pytest.mark.long
def test_mlflow_serves_the_answers_that_the_api_gives(
    platform: Platform, api: RunningApi, tracking_uri: str, tmp_path: Path
) -> None:
    iris = under_a_name_of_its_own(CASES[TaskKind.MULTICLASS])
    promoted = loop(iris, platform)
    api.wait_for_version(promoted.version, iris.name)
    snapshot = platform.clean.latest(iris.name)
    assert snapshot is not None
    records = [
        record
        for part in snapshot.rows
        for record in platform.clean.frame(iris, snapshot.snapshot_id, part)[iris.contract().names].to_dict("records")
    ]
    assert len(records) == 150
    with served_by_mlflow(f"models:/{iris.name}@production", tracking_uri, tmp_path / "serve.log") as client:
        theirs = client.post("/invocations", json={"dataframe_records": records}).raise_for_status().json()
    ours = [api.answer(record, iris.name)["prediction"] for record in records]
    assert theirs["predictions"] == ours
    assert set(ours) == set(iris.target.classes)

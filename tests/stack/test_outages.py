"""What whoever runs the platform reads when something is away, and that the platform comes back by itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

from data.make_loan_approval import loan_records
from tests.stack.platform_in_containers import REPOSITORY, Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

# Too little for a model, enough for what names it.
QUOTA_BYTES = 1000
OWN = "small_loans"


@pytest.fixture(scope="module")
def first_loop(stack: Stack) -> Stack:
    stack.wait_for_training()
    return stack


@pytest.fixture(scope="module")
def own_use_case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a use case that no test before has trained."""
    folder = tmp_path_factory.mktemp("use-cases")
    folder.chmod(0o755)
    text = (REPOSITORY / "src/modelyard/use_cases/loan_approval.py").read_text(encoding="utf-8")
    own = text.replace('name="loan_approval",\n    title', f'name="{OWN}",\n    title')
    (folder / f"{OWN}.py").write_text(own, encoding="utf-8")
    return folder


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence that a step ended with."""
    assert done.returncode not in {0, 3}, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_wrong_password_is_a_sentence_that_names_the_database(first_loop: Stack) -> None:
    sentence = said(first_loop.run_step("load", "--use-case", "loan_approval", password="wrong"))
    assert "database raw_data on postgres:5432" in sentence
    assert "password authentication failed" in sentence
    assert "wrong" not in sentence


def test_a_bucket_that_is_not_there_is_a_sentence_that_names_it(first_loop: Stack) -> None:
    sentence = said(first_loop.run_step("load", "--use-case", "loan_approval", DATA_URL="s3://nowhere"))
    assert "s3://nowhere/loan_approval.csv" in sentence


@pytest.fixture
def no_room_for_artifacts(first_loop: Stack) -> Iterator[MinioAdmin]:
    admin = MinioAdmin(
        endpoint=f"127.0.0.1:{first_loop.environment['MINIO_PORT']}",
        credentials=StaticProvider("modelyard", first_loop.secret("minio_root_password")),
        secure=False,
    )
    admin.bucket_quota_set("mlflow", QUOTA_BYTES)
    yield admin
    admin.bucket_quota_clear("mlflow")


def test_no_room_for_artifacts_is_a_sentence_and_nothing_is_half_there(
    first_loop: Stack, own_use_case: Path, no_room_for_artifacts: MinioAdmin
) -> None:
    arguments = ("--use-case", OWN)
    for step in ("load", "preprocess"):
        done = first_loop.run_step(step, *arguments, use_cases=own_use_case)
        assert done.returncode == 0, done.stderr
    train = ("train", *arguments, "--candidate", "logistic_regression")
    sentence = said(first_loop.run_step(*train, use_cases=own_use_case))
    assert "http://mlflow:5000" in sentence
    trained = f"select count(*) from step_results where use_case = '{OWN}' and step = 'train'"
    assert first_loop.psql("raw_data", trained) == ["0"]
    no_room_for_artifacts.bucket_quota_clear("mlflow")
    again = first_loop.run_step(*train, use_cases=own_use_case)
    assert again.returncode == 0, again.stderr
    assert first_loop.psql("raw_data", trained) == ["1"]


def test_the_api_answers_without_mlflow_also_after_a_restart(first_loop: Stack) -> None:
    version = first_loop.version()
    first_loop.compose("stop", "--timeout", "5", "mlflow")
    try:
        first_loop.compose("restart", "--timeout", "5", "api")
        wait_until(lambda: first_loop.version() == version, f"version {version} answers from the cache", 60)
    finally:
        first_loop.compose("up", "--detach", "--wait", "mlflow")


def test_a_loop_outlives_a_postgres_that_dies_in_the_middle(first_loop: Stack, tmp_path: Path) -> None:
    records = loan_records(2000, seed=7, first_id=1_000_000)
    file = tmp_path / "more.csv"
    records.to_csv(file)
    file.chmod(0o644)
    first_loop.put_into_bucket("more.csv", file)
    before = first_loop.version()
    trainings = len(first_loop.runs("loan_approval.train_model"))
    first_loop.start_loop(source="s3://data/more.csv")
    loaded = "select count(*) from batches where source = 's3://data/more.csv'"
    wait_until(lambda: first_loop.psql("raw_data", loaded) == ["1"], "the new records are loaded", 300)
    first_loop.kill("postgres")
    wait_until(lambda: bool(first_loop.psql("raw_data", "select 1")), "Postgres answers again", 300)
    first_loop.wait_for_training(count=trainings + 1)
    wait_until(lambda: first_loop.version() > before, "a new version answers", 60)
    assert first_loop.psql("raw_data", "select rows_added from batches where source = 's3://data/more.csv'") == ["2000"]


def test_a_scheduler_that_hangs_is_started_again(first_loop: Stack) -> None:
    def started_at() -> str:
        return first_loop.inspect("airflow-scheduler", "{{.State.StartedAt}}")

    before = started_at()
    first_loop.compose("exec", "-T", "airflow-scheduler", "sh", "-c", "kill -STOP $(cat /proc/1/task/1/children)")
    wait_until(lambda: started_at() != before, "the scheduler is started again", 400)
    wait_until(lambda: first_loop.states()["airflow-scheduler"]["Health"] == "healthy", "it is well again", 300)

"""The platform in containers, from its doors. The tests build on each other's loop: they run in the order written."""

import json
import subprocess
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from minio.error import S3Error

from modelyard.settings import Logins
from tests.stack.platform_in_containers import REPOSITORY, Stack, wait_until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(3600)]

STEPS = ["load", "preprocess", "train_.*", "compare", "promote", "deploy"]
LONG_RUNNING = [
    "postgres",
    "minio",
    "mlflow",
    "socket-proxy",
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "api",
    "jupyter",
]
BACK_SECONDS = 300
PASSWORDS = (
    "pipeline:pipeline",
    "airflow:airflow",
    "mlflow:mlflow",
    "postgres:postgres",
)


def secrets_of(stack: Stack) -> list[str]:
    """What must be seen nowhere: the passwords in URLs of the database, and what was made at the first start."""
    return [*PASSWORDS, *(stack.secret(name) for name in Logins.model_fields)]


def test_after_the_first_start_the_loop_runs_by_itself_and_the_api_answers(stack: Stack) -> None:
    stack.wait_for_training()
    assert stack.version() >= 1


def test_every_step_ran_in_a_container_of_its_own_and_none_is_left(stack: Stack) -> None:
    done = stack.psql("raw_data", "select distinct step, part from step_results where use_case = 'loan_approval'")
    assert len(done) == 8
    log = stack.compose(
        "exec", "-T", "airflow-scheduler", "sh", "-c", "grep -rh 'Starting docker container' state/logs"
    )
    assert len(log.splitlines()) >= 8
    left = [
        "docker",
        "ps",
        "-aq",
        "--filter",
        f"network={stack.project}_default",
        "--filter",
        "label=org.modelyard.step",
    ]
    assert subprocess.run(left, check=True, capture_output=True, text=True).stdout == ""


def test_the_answer_is_of_the_version_and_its_row_is_kept(stack: Stack) -> None:
    answer = stack.predict()
    rows = stack.psql(
        "raw_data", f"select model_version, record_key from predictions where request_id = '{answer['request_id']}'"
    )
    assert rows == [f"{answer['model_version']}|1"]


def test_the_versions_artifacts_and_the_accepted_file_are_in_the_buckets(stack: Stack) -> None:
    artifacts = stack.bucket_client("mlflow").list_objects(bucket_name="mlflow", recursive=True)
    names = {Path(item.object_name or "").name for item in artifacts}
    assert {"model.onnx", "contract.json", "example.json", "MLmodel"} <= names
    data = stack.bucket_client("data").list_objects(bucket_name="data", recursive=True)
    kept = {item.object_name for item in data}
    sha256 = stack.psql("raw_data", "select sha256 from batches where use_case = 'loan_approval'")[0]
    assert {"loan_approval.csv", f"accepted/loan_approval/{sha256}"} <= kept


@pytest.mark.parametrize(("user", "other"), [("mlflow", "data"), ("data", "mlflow")])
def test_a_user_of_one_bucket_cannot_read_the_other(stack: Stack, user: str, other: str) -> None:
    with pytest.raises(S3Error, match="AccessDenied"):
        list(stack.bucket_client(user).list_objects(bucket_name=other))


@pytest.mark.parametrize(
    ("port", "path", "status"),
    [
        ("AIRFLOW_PORT", "/api/v2/dags", 401),
        ("AIRFLOW_PORT", "/", 200),
        ("MINIO_PORT", "/data/loan_approval.csv", 403),
        ("MINIO_CONSOLE_PORT", "/", 200),
        ("MINIO_CONSOLE_PORT", "/api/v1/buckets", 403),
        ("MLFLOW_PORT", "/", 200),
        ("JUPYTER_PORT", "/api/contents", 403),
        ("JUPYTER_PORT", "/api/contents?token=modelyard", 403),
        ("API_PORT", "/docs", 200),
        ("API_PORT", "/ready", 200),
        ("API_PORT", "/services", 200),
        ("FRONTEND_PORT", "/_stcore/health", 200),
    ],
)
def test_the_doors_answer_and_refuse_without_a_login(stack: Stack, port: str, path: str, status: int) -> None:
    assert httpx.get(stack.url(port) + path, trust_env=False, timeout=30).status_code == status


def test_the_frontend_is_there_when_it_says_so_and_all_services_are_well(stack: Stack) -> None:
    assert httpx.get(f"{stack.url('FRONTEND_PORT')}/_stcore/health", trust_env=False).text == "ok"
    services = httpx.get(f"{stack.url('API_PORT')}/services", trust_env=False, timeout=30).json()["services"]
    assert {service["name"]: service["detail"] for service in services} == dict.fromkeys(
        ("Airflow", "MLflow", "MinIO", "JupyterLab", "API"), "answers"
    )
    assert services[0]["link"] == stack.url("AIRFLOW_PORT")


def test_mlflow_refuses_a_host_name_that_is_not_allowed(stack: Stack) -> None:
    answer = httpx.get(stack.url("MLFLOW_PORT"), headers={"Host": "elsewhere.example"}, trust_env=False)
    assert answer.status_code == 403


@pytest.mark.parametrize("service", ["airflow-apiserver", "airflow-dag-processor", "api", "mlflow", "jupyter"])
def test_only_the_scheduler_reaches_the_proxy(stack: Stack, service: str) -> None:
    asked = "import socket\ntry: socket.create_connection(('socket-proxy', 2375), 3)\nexcept OSError: print('no')"
    assert stack.python(service, asked) == "no"


def test_no_secret_is_in_a_rendered_template_or_in_a_log(stack: Stack) -> None:
    run = stack.runs("loan_approval.train_model")[0]
    run_id = quote(run["dag_run_id"], safe="")
    with stack.airflow() as client:
        tasks = client.get(f"/api/v2/dags/{run['dag_id']}/dagRuns/{run_id}/taskInstances").text
    logs = stack.compose("exec", "-T", "airflow-scheduler", "sh", "-c", "cat $(find state/logs -name '*.log')")
    # The one-shot `secrets` shows people how to log in.
    said = stack.compose("logs", "--no-color", *sorted(set(stack.states()) - {"secrets"}))
    assert "rendered_fields" in tasks
    assert not [secret for secret in secrets_of(stack) for text in (tasks, logs, said) if secret in text]


def test_no_secret_is_in_a_list_of_processes(stack: Stack) -> None:
    listed = stack.compose("top")
    assert "airflow scheduler" in listed
    assert not [secret for secret in secrets_of(stack) if secret in listed]


def test_the_explorer_changes_nothing_and_jupyter_runs_the_notebook_as_the_hosts_user(stack: Stack) -> None:
    refused = stack.compose(
        "exec", "-T", "-e", "PGPASSWORD=explorer", "postgres", "psql", "-h", "127.0.0.1", "-U", "explorer", "raw_data",
        stdin="delete from predictions; create table mine ();",
    )  # fmt: skip
    assert "DELETE" not in refused
    assert "CREATE" not in refused
    result = REPOSITORY / "notebooks" / "tested.ipynb"
    try:
        stack.compose(
            "exec", "-T", "jupyter", "jupyter", "nbconvert", "--to", "notebook", "--execute",
            "--output", result.name, "notebooks/explore_loan_approval.ipynb",
        )  # fmt: skip
        assert result.stat().st_uid == REPOSITORY.stat().st_uid
        assert result.read_text(encoding="utf-8").count('"image/png"') == 2
    finally:
        result.unlink(missing_ok=True)


@pytest.mark.parametrize("use_case", ["credit_risk", "iris"])
def test_another_use_case_waits_until_it_is_started_and_then_answers(stack: Stack, use_case: str) -> None:
    assert stack.runs(f"{use_case}.load_raw_data") == []
    stack.compose("exec", "-T", "airflow-scheduler", "airflow", "dags", "unpause", f"{use_case}.load_raw_data")
    stack.wait_for_training(use_case)
    answer = stack.predict_example(use_case)
    found = f"select use_case, model_version from predictions where request_id = '{answer['request_id']}'"
    assert stack.psql("raw_data", found) == [f"{use_case}|{answer['model_version']}"]


def test_models_of_pictures_are_trained_in_an_image_that_is_built_on_demand(stack_with_tensorflow: Stack) -> None:
    stack_with_tensorflow.run_loop("skin_cancer")
    answer = stack_with_tensorflow.predict_example("skin_cancer")
    found = f"select use_case, model_version from predictions where request_id = '{answer['request_id']}'"
    assert stack_with_tensorflow.psql("raw_data", found) == [f"skin_cancer|{answer['model_version']}"]


def test_an_open_platform_refuses_default_secrets_and_names_them(stack: Stack) -> None:
    opened = Stack({**stack.environment, "BIND_ADDRESS": "0.0.0.0", "COMPOSE_PROJECT_NAME": "modelyard-open"})  # noqa: S104
    command = ["docker", "compose", "run", "--rm", "--no-deps", "secrets"]
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, cwd=REPOSITORY, env=opened.environment
        )
    finally:
        opened.compose("down", "--volumes")
    assert done.returncode == 2
    assert "BIND_ADDRESS=0.0.0.0 opens the platform" in done.stderr
    assert "POSTGRES_PASSWORD" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("service", LONG_RUNNING)
def test_a_service_whose_process_is_killed_comes_back(stack: Stack, service: str) -> None:
    state = json.loads(stack.inspect(service, "{{json .State}}"))
    stack.kill(service)

    def back() -> bool:
        now = json.loads(stack.inspect(service, "{{json .State}}"))
        return now["Pid"] not in {0, state["Pid"]} and now["Health"]["Status"] == "healthy"

    wait_until(back, f"{service} is healthy again", BACK_SECONDS)


def test_after_all_of_them_were_killed_the_loop_runs_again(stack: Stack) -> None:
    stack.run_loop()
    assert stack.version() >= 1


def test_a_stop_and_a_start_keep_models_and_rows(stack: Stack) -> None:
    version = stack.version()
    count = "select count(*) from predictions"
    kept = stack.psql("raw_data", count)
    stack.compose("down", "--timeout", "20", show=True)
    stack.compose("up", "--detach", "--wait", show=True)
    assert stack.psql("raw_data", count) == kept

    wait_until(lambda: stack.version() == version, f"version {version} answers again", 60)


def test_steps_run_as_processes_too(stack: Stack) -> None:
    processes = Stack({**stack.environment, "STEP_RUNNER": "process"})
    processes.compose("up", "--build", "--detach", "--wait", show=True)
    assert "process" in processes.inspect("airflow-scheduler", "{{.Config.Image}}")
    processes.run_loop()

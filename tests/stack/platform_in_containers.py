"""What the tests ask of the platform in containers."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
from minio import Minio

REPOSITORY = Path(__file__).parents[2]
RAW = "postgresql+psycopg2://pipeline:{password}@postgres:5432/raw_data"
CLEAN = "postgresql+psycopg2://pipeline:pipeline@postgres:5432/clean_data"
LOOP = ("load_raw_data", "preprocess_data", "train_model")
LOOP_SECONDS = 1200
POLL_SECONDS = 2
RECORD = {
    "id": 1,
    "age": 41,
    "annual_income": 90000,
    "credit_score": 710,
    "loan_amount": 12000,
    "loan_duration_years": 10,
    "number_of_open_accounts": 4,
    "had_past_default": 0,
}


class Stack:
    """A platform in containers, reached as its users reach it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.project = environment["COMPOSE_PROJECT_NAME"]
        self._secrets: dict[str, str] = {}

    def compose(self, *arguments: str, show: bool = False, stdin: str = "") -> str:
        """Runs compose; what it says is the answer, or is shown as it comes."""
        streams: dict[str, Any] = {"stdout": sys.stderr} if show else {"capture_output": True}
        command = ["docker", "compose", *arguments]
        done = subprocess.run(
            command, check=True, text=True, cwd=REPOSITORY, env=self.environment, input=stdin, **streams
        )
        return done.stdout or ""

    def secret(self, name: str) -> str:
        """A secret that was made for this platform, by the name of its setting."""
        if name not in self._secrets:
            command = ["run", "--rm", "--no-TTY", "--no-deps", "--entrypoint", "cat", "secrets", f"/secrets/all/{name}"]
            self._secrets[name] = self.compose(*command)
        return self._secrets[name]

    def url(self, name: str) -> str:
        """Where a service answers, by the name of its port's variable."""
        return f"http://127.0.0.1:{self.environment[name]}"

    def states(self) -> dict[str, dict[str, Any]]:
        """The state of every service's container."""
        lines = self.compose("ps", "--all", "--format", "json").splitlines()
        return {state["Service"]: state for line in lines for state in [json.loads(line)]}

    def inspect(self, service: str, what: str) -> str:
        """What the engine knows of a service's container, in a Go template."""
        [container] = self.compose("ps", "--all", "--quiet", service).split()
        command = ["docker", "inspect", "--format", what, container]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def psql(self, database: str, statement: str) -> list[str]:
        """Rows of a query, as the administrator sees them."""
        answer = self.compose("exec", "-T", "postgres", "psql", "-U", "postgres", "-At", database, stdin=statement)
        return answer.splitlines()

    def python(self, service: str, program: str) -> str:
        """What a program says that runs in a service's container."""
        return self.compose("exec", "-T", service, "python", "-", stdin=program).strip()

    def predict_example(self, use_case: str) -> dict[str, Any]:
        """The API's answer to the example that the model in production came with."""
        with httpx.Client(base_url=self.url("API_PORT"), trust_env=False, timeout=30) as client:
            described = client.get("/info").raise_for_status().json()["use_cases"][use_case]
            response = client.post(f"/predict/{use_case}", json=described["example"])
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer

    def predict(self) -> dict[str, Any]:
        """An answer of the API."""
        response = httpx.post(f"{self.url('API_PORT')}/predict", json=RECORD, trust_env=False, timeout=30)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        return answer

    def version(self) -> int:
        """The version that answers."""
        return int(self.predict()["model_version"])

    @contextmanager
    def airflow(self) -> Iterator[httpx.Client]:
        """Airflow's REST API, logged in."""
        with httpx.Client(base_url=self.url("AIRFLOW_PORT"), trust_env=False, timeout=60) as client:
            login = {"username": "airflow", "password": self.secret("airflow_password")}
            answer = client.post("/auth/token", json=login)
            client.headers["Authorization"] = f"Bearer {answer.raise_for_status().json()['access_token']}"
            yield client

    def runs(self, dag: str) -> list[dict[str, Any]]:
        """The runs of a DAG, the newest first; none while Airflow has not read its file."""
        with self.airflow() as client:
            answer = client.get(f"/api/v2/dags/{dag}/dagRuns", params={"order_by": "-run_after"})
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return []
        found: list[dict[str, Any]] = answer.raise_for_status().json()["dag_runs"]
        return found

    def run_loop(self, use_case: str = "loan_approval", source: str | None = None) -> None:
        """Starts a loop, and waits until the training that it leads to has succeeded."""
        before = len(self.runs(f"{use_case}.train_model"))
        self.start_loop(use_case, source)
        self.wait_for_training(use_case, before + 1)

    def start_loop(self, use_case: str = "loan_approval", source: str | None = None) -> None:
        """Starts a loop."""
        parameters = {"source": source} if source else {}
        with self.airflow() as client:
            client.patch(f"/api/v2/dags/{use_case}.load_raw_data", json={"is_paused": False}).raise_for_status()
            started = client.post(
                f"/api/v2/dags/{use_case}.load_raw_data/dagRuns", json={"logical_date": None, "conf": parameters}
            )
            started.raise_for_status()

    def _last_log(self, dag: str) -> str:
        """The end of the log of a DAG's task that ran last."""
        newest = f"ls -t $(find state/logs -path '*{dag}*' -name '*.log') | head -n 1 | xargs tail -n 12"
        return self.compose("exec", "-T", "airflow-scheduler", "sh", "-c", newest)

    def run_step(
        self, *arguments: str, password: str = "pipeline", use_cases: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a step in a container as the scheduler would."""
        settings = {
            "RAW_DATABASE_URL": RAW.format(password=password),
            "CLEAN_DATABASE_URL": CLEAN,
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "DATA_URL": "s3://data",
            "AWS_ENDPOINT_URL": "http://minio:9000",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "data",
            "AWS_SECRET_ACCESS_KEY": self.secret("data_s3_secret_key"),
            **environment,
        }
        mounted = ["--volume", f"{use_cases}:/use-cases:ro", "--env", "USE_CASES_PATH=/use-cases"] if use_cases else []
        given = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
        image = self.compose("config", "--images", "secrets").strip()
        command = ["docker", "run", "--rm", f"--network={self.project}_default", *mounted, *given, image, *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def kill(self, service: str) -> None:
        """Kills the processes of a service: `docker kill` would count as a stop by hand."""
        # This command dies with them.
        with contextlib.suppress(subprocess.CalledProcessError):
            self.compose("exec", "-T", service, "sh", "-c", "kill -9 -1")

    def bucket_client(self, user: str) -> Minio:
        """The object store, as the user of a bucket reaches it."""
        return Minio(
            endpoint=f"127.0.0.1:{self.environment['MINIO_PORT']}",
            access_key=user,
            secret_key=self.secret(f"{user}_s3_secret_key"),
            secure=False,
        )

    def put_into_bucket(self, name: str, file: Path) -> None:
        """Puts a file into the bucket `data`, as MinIO's console does."""
        self.bucket_client("data").fput_object(bucket_name="data", object_name=name, file_path=str(file))

    def wait_for_training(self, use_case: str = "loan_approval", count: int = 1) -> None:
        """Waits until so many trainings were there and the newest one has succeeded."""

        def done() -> bool:
            for dag in LOOP:
                newest = self.runs(f"{use_case}.{dag}")[:1]
                assert not newest or newest[0]["state"] != "failed", self._last_log(f"{use_case}.{dag}")
            runs = self.runs(f"{use_case}.train_model")
            return len(runs) >= count and all(run["state"] == "success" for run in runs)

        wait_until(done, f"{count} trainings of {use_case}", LOOP_SECONDS)


def wait_until(done: Callable[[], bool], what: str, seconds: float) -> None:
    """Waits until something holds; while nothing can be asked, it does not."""
    deadline = time.monotonic() + seconds
    while not _holds(done):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(POLL_SECONDS)


def _holds(done: Callable[[], bool]) -> bool:
    with contextlib.suppress(httpx.HTTPError, subprocess.CalledProcessError):
        return done()
    return False

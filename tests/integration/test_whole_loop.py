"""The commands that people start with, as they start them: real processes, real Airflow, real HTTP."""

import csv
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import psutil
import pytest

from modelyard.embedded.processes import free_ports
from modelyard.native.airflow import AirflowClient
from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
LOANS = REPOSITORY / "data" / "loan_approval.csv"
ROWS = 2500
NOISE = 0.2
ALLOWED = "allowed"
WAIT_SECONDS = 600
PORTS = ("AIRFLOW_PORT", "MLFLOW_PORT", "JUPYTER_PORT", "API_PORT", "FRONTEND_PORT")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


class Done(NamedTuple):
    """How a command ended."""

    exit_code: int
    out: str
    err: str


class Home(NamedTuple):
    """A folder of state, and the environment of what runs in it."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        command = [Path(sys.executable).with_name("modelyard"), *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, cwd=REPOSITORY, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: str | Path) -> Done:
        process = self.start(*arguments)
        out, err = process.communicate()
        return Done(process.returncode, out, err)

    @property
    def facts(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "demo.json").read_text())
        return found

    def processes(self) -> list[str]:
        """What runs in or for this home."""
        return [" ".join(process.cmdline()) for process in psutil.process_iter() if self._owns(process)]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            said = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except psutil.Error:
            return False
        return any(str(self.folder) in each for each in said)


def write_loans(file: Path, rows: int, shuffle: Callable[[list[list[str]]], list[str]]) -> Path:
    """The first loans, with targets of our own."""
    with LOANS.open(newline="") as source:
        header, *records = csv.reader(source)
    records = records[:rows]
    targets = shuffle(records)
    with file.open("w", newline="") as written:
        csv.writer(written).writerows(
            [header, *([*record[:-1], t] for record, t in zip(records, targets, strict=True))]
        )
    return file


def noisy(records: list[list[str]]) -> list[str]:
    """A share of the targets is wrong: a better model can be had."""
    chance = random.Random(0)
    return [str(1 - int(record[-1])) if chance.random() < NOISE else record[-1] for record in records]


def shuffled(records: list[list[str]]) -> list[str]:
    targets = [record[-1] for record in records]
    random.Random(0).shuffle(targets)
    return targets


def as_they_are(records: list[list[str]]) -> list[str]:
    return [record[-1] for record in records]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    (tmp_path / ALLOWED).mkdir()
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
        changes = {**ports, "MODELYARD_HOME": folder, "SCHEDULES_ENABLED": "false"}
        # Not for the demo: whoever runs it may read what he may read.
        changes["SOURCES_ALLOWED"] = str(tmp_path / ALLOWED)
        yield Home(Path(folder).resolve(), child_environment(changes))


def wait_for(what: str, condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.2)
    return found


def test_from_an_empty_folder_to_a_platform_that_is_retrained(home: Home, tmp_path: Path) -> None:
    loans = write_loans(tmp_path / "noisy.csv", ROWS, noisy)
    first = home.run("demo", "--source", loans)
    check_first_demo(home, first)
    try:
        check_up(home)
        check_nothing_new(home, loans)
        check_retrain(home, write_loans(tmp_path / ALLOWED / "clean.csv", ROWS, as_they_are))
        check_refusal(home, write_loans(tmp_path / "shuffled.csv", ROWS, shuffled))
        check_bad_input(home, tmp_path)
    finally:
        down = home.run("down-local")
    assert down.exit_code == 0, down.err
    assert home.processes() == []


def check_first_demo(home: Home, done: Done) -> None:
    assert done.exit_code == 0, done.err
    assert home.processes() == []
    facts = home.facts
    assert facts["use_case"] == "loan_approval"
    assert facts["model_version"] == 1
    assert facts["verdict"] == "promoted"
    assert facts["metrics"]["roc_auc"] > facts["baseline"]["roc_auc"]
    assert facts["rows"] == {"raw": ROWS, "rejected": 0, "clean": ROWS, "predictions": 1}
    assert set(facts["seconds"]) == {"setup", "load", "preprocess", "train", "promote", "deploy", "predict", "total"}
    steps = ("load", "preprocess", "train random_forest", "compare", "promote", "deploy")
    assert [step for step in steps if step not in done.out] == []
    assert "dummy baseline" in done.out
    assert "version 1 promoted" in done.out
    assert done.out.count(facts["request_id"]) == 2  # in the answer and in the row
    assert "`make up-local` starts them to stay" in done.err
    assert "Traceback" not in done.err


def check_up(home: Home) -> None:
    up = home.run("up-local")
    assert up.exit_code == 0, up.err
    assert up.out.count("healthy") == 5
    again = home.run("up-local")
    assert again.exit_code == 0
    assert "is up already" in again.err
    jupyter = f"http://127.0.0.1:{home.environment['JUPYTER_PORT']}/api/kernels"
    assert httpx.get(jupyter).status_code == 403
    link = next(line for line in up.out.splitlines() if line.startswith("log into JupyterLab: ")).partition(": ")[2]
    assert httpx.get(jupyter, headers={"Authorization": f"token {link.partition('token=')[2]}"}).status_code == 200
    assert link in home.run("status").out
    services = httpx.get(f"http://127.0.0.1:{home.environment['API_PORT']}/services").json()["services"]
    assert {service["name"]: service["healthy"] for service in services} == dict.fromkeys(
        ("Airflow", "MLflow", "JupyterLab", "API"), True
    )
    frontend = f"http://127.0.0.1:{home.environment['FRONTEND_PORT']}"
    assert httpx.get(f"{frontend}/_stcore/health").text == "ok"


def check_nothing_new(home: Home, loans: Path) -> None:
    before = home.facts
    done = home.run("demo", "--source", loans)
    assert done.exit_code == 0, done.err
    assert "nothing new: records, snapshot and models were there already" in done.out
    assert home.facts["model_version"] == before["model_version"]
    assert home.facts["verdict"] == "unchanged"
    assert home.facts["rows"] == {**before["rows"], "predictions": 2}


def check_retrain(home: Home, loans: Path) -> None:
    """As somebody does it through Airflow's REST API."""
    api = f"http://127.0.0.1:{home.environment['API_PORT']}"
    password = (home.folder / "secrets" / "airflow_password").read_text()
    airflow = AirflowClient(f"http://127.0.0.1:{home.environment['AIRFLOW_PORT']}", "airflow", password)
    airflow.trigger("loan_approval.load_raw_data", {"source": str(loans)})
    airflow.close()

    def served() -> int:
        return int(httpx.get(f"{api}/info").json()["use_cases"]["loan_approval"]["model_version"])

    wait_for("a new version", lambda: served() == 2)


def check_refusal(home: Home, loans: Path) -> None:
    done = home.run("demo", "--source", loans)
    assert done.exit_code == 3, done.err
    assert "refused" in done.out
    assert "it does not beat a dummy" in done.out
    assert "Traceback" not in done.err
    assert home.facts["verdict"] == "refused"
    assert home.facts["model_version"] == 2
    again = home.run("demo", "--source", loans)
    assert again.exit_code == 3, again.err
    assert "nothing new: version 3 refused" in again.err


def check_bad_input(home: Home, folder: Path) -> None:
    (folder / "bad.csv").write_text("Age,Annual_Income\n1,2\n")
    done = home.run("demo", "--source", folder / "bad.csv")
    assert done.exit_code == 1
    assert "error: load failed:" in done.err
    assert "bad.csv" in done.err
    assert "Traceback" not in done.err
    assert not (home.folder / "demo.json").exists()


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.long),
        pytest.param(signal.SIGTERM, marks=pytest.mark.long),
        signal.SIGKILL,
    ],
)
def test_a_demo_that_is_ended_leaves_nothing_running(home: Home, ending: signal.Signals) -> None:
    demo = home.start("demo")
    assert demo.stderr is not None
    for line in demo.stderr:
        if "API answers" in line:
            break
    demo.send_signal(ending)
    demo.communicate()
    assert demo.returncode != 0
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := home.processes()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def test_a_port_in_use_is_named_before_anything_is_started(home: Home) -> None:
    with socket.create_server(("127.0.0.1", int(home.environment["JUPYTER_PORT"]))):
        up = home.run("up-local")
    assert up.exit_code == 2
    assert f"port {home.environment['JUPYTER_PORT']} for JupyterLab is in use" in up.err
    assert not (home.folder / "postgres").exists()

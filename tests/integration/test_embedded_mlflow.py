"""The embedded MLflow server: shared, stopped after the last user, and never mistaken for another's."""

import http.client
import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pandas as pd
import psutil
import pytest
from sqlalchemy import text

from modelyard.embedded.mlflow import MARK, embedded_mlflow, running_mlflow
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.errors import BadInput, StepFailed
from modelyard.stores.database import make_engine
from modelyard.stores.registry import Training, log_data
from tests.integration.users import USE_MLFLOW, processes_of, user_of, wait_until_nothing_runs

TRAININGS = 3
# Without another attempt, every second of them meets the clash.
ATTEMPTS = 8


@pytest.fixture(scope="module")
def own_home() -> Iterator[Path]:
    """A home with a name that has to be quoted; each test leaves it with nothing running."""
    with tempfile.TemporaryDirectory(prefix="modelyard test ü-") as folder:
        yield Path(folder).resolve()


def ask(uri: str, method: str, path: str, body: bytes | None = None) -> Any:
    address = urlsplit(uri)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said
        return json.loads(said or b"{}")
    finally:
        connection.close()


def create_experiment(uri: str, name: str) -> str:
    created = ask(uri, "POST", "/api/2.0/mlflow/experiments/create", json.dumps({"name": name}).encode())
    return str(created["experiment_id"])


def server_processes(home: Path) -> list[psutil.Process]:
    found = psutil.process_iter(["environ"])
    return [process for process in found if (process.info["environ"] or {}).get(MARK) == str(home)]


def test_it_keeps_runs_in_postgres_and_artifacts_in_the_home(home: Path, postgres: Postgres, tracking_uri: str) -> None:
    identity = create_experiment(tracking_uri, "kept in postgres")
    ask(tracking_uri, "PUT", "/api/2.0/mlflow-artifacts/artifacts/kept/note.txt", b"kept")
    engine = make_engine(postgres.url("mlflow", role="mlflow"))
    with engine.connect() as connection:
        named = text("select experiment_id from experiments where name = 'kept in postgres'")
        assert str(connection.scalar(named)) == identity
    engine.dispose()
    assert (home / "mlflow" / "artifacts" / "kept" / "note.txt").read_bytes() == b"kept"
    assert running_mlflow(home) == tracking_uri


def test_data_that_is_named_for_the_first_time_by_several_trainings_at_once_is_kept_of_all(tracking_uri: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(tracking_uri)
    identity = create_experiment(tracking_uri, "side by side")
    for attempt in range(ATTEMPTS):
        runs = log_data_side_by_side(mlflow, identity, f"snapshot {attempt}")
        assert [run.inputs.dataset_inputs[0].dataset.digest for run in runs] == [f"snapshot {attempt}"] * TRAININGS


def log_data_side_by_side(mlflow: Any, experiment: str, snapshot: str) -> list[Any]:
    """Runs that named the same data at the same moment."""
    training = Training(
        use_case="loans", candidate="any", tags={"snapshot_id": snapshot}, parameters={}, metrics={}, files={}
    )
    together = threading.Barrier(TRAININGS)

    def train(_: int) -> Any:
        with mlflow.start_run(experiment_id=experiment) as run:
            together.wait()
            log_data(mlflow, training, "loan_approval", "train", pd.DataFrame({"age": [1.0], "loan_approval": [0.0]}))
        return mlflow.get_run(run.info.run_id)

    with ThreadPoolExecutor(TRAININGS) as pool:
        return list(pool.map(train, range(TRAININGS)))


def test_it_is_shared_and_gone_after_the_last(own_home: Path) -> None:
    with user_of(own_home, USE_MLFLOW) as first, embedded_postgres(own_home) as postgres:
        with embedded_mlflow(own_home, postgres) as uri:
            assert uri == first.address
            first.leave()
            create_experiment(uri, "after the first user left")
            sentence = r"runs on port \d+ already, not on 1234"
            with pytest.raises(BadInput, match=sentence), embedded_mlflow(own_home, postgres, port=1234):
                pass
        assert running_mlflow(own_home) is None
    assert processes_of(own_home) == []


@pytest.mark.long
def test_one_that_was_half_killed_is_replaced_and_nothing_stays_when_all_users_are_killed(own_home: Path) -> None:
    with user_of(own_home, USE_MLFLOW) as first:
        oldest = min(server_processes(own_home), key=psutil.Process.create_time)
        oldest.kill()
        with user_of(own_home, USE_MLFLOW) as second:
            create_experiment(second.address, "after a half-killed server")
            assert running_mlflow(own_home) == second.address
            first.process.kill()
            second.process.kill()
            wait_until_nothing_runs(own_home)


def test_a_port_in_use_is_a_sentence(own_home: Path) -> None:
    with socket.socket() as taken, embedded_postgres(own_home) as postgres:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        sentence = f"port {port} on 127.0.0.1 is in use"
        with pytest.raises(BadInput, match=sentence), embedded_mlflow(own_home, postgres, port=port):
            pass


@contextmanager
def tables_of_the_future(postgres: Postgres) -> Iterator[None]:
    """The database of MLflow as a version that is not made yet would leave it."""
    engine = make_engine(postgres.url("mlflow", role="mlflow"))
    with engine.begin() as connection:
        if connection.scalar(text("select to_regclass('alembic_version')")):
            connection.execute(text("alter table alembic_version rename to alembic_version_kept"))
        connection.execute(text("create table alembic_version as select 'of-the-future' as version_num"))
    yield
    with engine.begin() as connection:
        connection.execute(text("drop table alembic_version"))
        connection.execute(text("alter table if exists alembic_version_kept rename to alembic_version"))
    engine.dispose()


def test_one_that_cannot_start_is_a_sentence_with_its_reason(own_home: Path) -> None:
    sentence = r"MLflow does not start: .*of-the-future.*mlflow\.log"
    with (
        embedded_postgres(own_home) as postgres,
        tables_of_the_future(postgres),
        pytest.raises(StepFailed, match=sentence),
        embedded_mlflow(own_home, postgres),
    ):
        pass
    assert processes_of(own_home) == []

"""An API process among others: its heartbeat, outages of the database, its start and its end."""

import signal
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.embedded.postgres import Postgres
from modelyard.settings import child_environment
from modelyard.stores.processes import ApiProcesses
from tests.services.conftest import StartApi
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.own_postgres import FRESH_SECONDS, OwnPostgres
from tests.services.running_api import REPOSITORY, RunningApi, free_port, wait_until

MINUTE = 60


def processes(engine: Engine, use_case: str = "loan_approval") -> dict[int, Any]:
    """What every process that is alive says of a use case, by process id."""
    return {process.pid: process for process in ApiProcesses(engine).alive(use_case, FRESH_SECONDS)}


def test_a_process_is_known_before_it_serves_anything(
    start_api: StartApi, source: FolderSource, raw_engine: Engine
) -> None:
    source.go_away()
    with start_api() as api:
        wait_until(lambda: api.process.pid in processes(raw_engine))
        process = processes(raw_engine)[api.process.pid]
        assert (process.model_version, process.target_version, process.self_test) == (None, None, None)


def test_a_swap_is_told_at_once(start_api: StartApi, source: FolderSource, raw_engine: Engine) -> None:
    # With a heartbeat an hour, whatever is told is told because of a change.
    with start_api(api_heartbeat_seconds=3600) as api:
        pid = api.process.pid
        wait_until(lambda: pid in processes(raw_engine) and processes(raw_engine)[pid].model_version == 1)
        assert processes(raw_engine)[pid].self_test == "ok"
        put(source, 2, loan_contract(), LOAN_RECORD, example_off_by=0.01)
        source.point(loan_approval=2)
        wait_until(lambda: processes(raw_engine)[pid].target_version == 2)
        process = processes(raw_engine)[pid]
        assert (process.model_version, process.self_test) == (1, "failed")
        assert "version 2 cannot be served" in process.detail
        put(source, 3, loan_contract(), LOAN_RECORD)
        source.point(loan_approval=3)
        wait_until(lambda: processes(raw_engine)[pid].model_version == 3)
        assert (processes(raw_engine)[pid].target_version, processes(raw_engine)[pid].self_test) == (3, "ok")


def test_a_process_beats_and_says_good_bye(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api() as one, start_api() as other:
        pids = {one.process.pid, other.process.pid}
        wait_until(lambda: set(processes(raw_engine)) == pids)
        before = processes(raw_engine)[one.process.pid].seen_at
        wait_until(lambda: processes(raw_engine)[one.process.pid].seen_at > before)
        other.stop()
        assert set(processes(raw_engine)) == {one.process.pid}


def test_a_killed_process_stays_on_the_list_until_it_is_stale(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        wait_until(lambda: api.process.pid in processes(raw_engine))
        api.process.kill()
        api.process.wait(MINUTE)
        assert api.process.pid in processes(raw_engine)


def test_the_long_dead_are_taken_off_the_list(start_api: StartApi, raw_engine: Engine) -> None:
    dead = uuid.uuid4()
    with raw_engine.begin() as connection:
        insert = (
            "insert into api_processes (process_id, host, pid, seen_at) values (:id, 'x', 1, now() - interval '2 days')"
        )
        connection.execute(text(insert), {"id": dead})
    with start_api() as api:
        api.wait_for_version(1)
        api.stop()
    with raw_engine.connect() as connection:
        assert not connection.scalars(text("select process_id from api_processes")).all()


def test_requests_under_way_are_answered_before_it_ends(start_api: StartApi, admin_raw_engine: Engine) -> None:
    with start_api() as api, ThreadPoolExecutor(1) as pool:
        api.wait_for_version(1)
        with admin_raw_engine.begin() as connection:
            connection.execute(text("lock table predictions in share mode"))
            waiting = pool.submit(api.answer, LOAN_RECORD)
            wait_until(lambda: _waits_for_lock(admin_raw_engine))
            api.process.send_signal(signal.SIGTERM)
            wait_until(lambda: "Waiting for connections to close" in api.logged(), api.logged)
        request_id = waiting.result()["request_id"]
        assert api.process.wait(MINUTE) in (0, -signal.SIGTERM)
        assert "Traceback" not in api.logged()
    with admin_raw_engine.connect() as connection:
        assert connection.scalars(text("select request_id from predictions")).all() == [uuid.UUID(request_id)]


def test_an_outage_of_the_database_is_told_and_everything_comes_back(
    start_api: StartApi, own_postgres: OwnPostgres
) -> None:
    with start_api(raw_database_url=own_postgres.url("api"), api_heartbeat_fresh_seconds=1) as api:
        api.wait_for_version(1)
        answered = [api.answer(LOAN_RECORD)["request_id"] for _ in range(3)]
        own_postgres.stop()
        answered += [api.answer(LOAN_RECORD)["request_id"] for _ in range(3)]
        _check_outage(api)
        own_postgres.start()
        wait_until(lambda: api.client.get("/health").json()["spool"]["rows"] == 0, api.logged)
        answered += [api.answer(LOAN_RECORD)["request_id"] for _ in range(3)]
        assert sorted(own_postgres.request_ids()) == sorted(answered)
        wait_until(lambda: "the heartbeat is back" in api.logged(), api.logged)
        assert own_postgres.processes() == {api.process.pid}
        assert "Traceback" not in api.logged()


def _check_outage(api: RunningApi) -> None:
    health = api.client.get("/health")
    assert (health.status_code, health.json()["ready"]) == (200, True)
    assert health.json()["database"].startswith("the database raw_data on /")
    assert health.json()["spool"] == {"rows": 3, "refused": 0, "full": False}
    for path in ("/live", "/ready", "/info"):
        assert api.client.get(path).status_code == 200
    assert api.predict({}).status_code == 422
    wait_until(lambda: "no heartbeat: the database raw_data" in api.logged(), api.logged)
    assert api.logged().count("predictions go to the spool") == 1


def test_it_starts_without_the_database(start_api: StartApi, own_postgres: OwnPostgres) -> None:
    url = own_postgres.url("api")
    own_postgres.stop()
    with start_api(raw_database_url=url) as api:
        wait_until(lambda: api.health().get("model_version") == 1, api.logged)
        request_id = api.answer(LOAN_RECORD)["request_id"]
        own_postgres.start()
        wait_until(lambda: own_postgres.request_ids() == [request_id], api.logged)


def test_a_database_without_our_tables_is_said(start_api: StartApi, empty_postgres: Postgres) -> None:
    with start_api(raw_database_url=empty_postgres.url("postgres", "api")) as api:
        api.wait_for_version(1)
        ready = api.client.get("/ready")
        assert ready.status_code == 503
        assert 'relation "predictions" does not exist' in ready.json()["detail"]
        assert api.predict(LOAN_RECORD).status_code == 200
        assert api.client.get("/health").json()["spool"]["rows"] == 1


def run_api(**settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the API, which must end by itself."""
    environment = {"MODELYARD_HOME": "/nonexistent"} | settings
    return subprocess.run(
        [sys.executable, "-m", "services.api"],
        cwd=REPOSITORY,
        env=child_environment(environment),
        capture_output=True,
        text=True,
        timeout=MINUTE,
        check=False,
    )


@pytest.mark.parametrize("missing", ["RAW_DATABASE_URL", "MLFLOW_TRACKING_URI"])
def test_what_is_not_configured_is_a_sentence(missing: str) -> None:
    settings = {"RAW_DATABASE_URL": "postgresql+psycopg2://api@/raw_data", "MLFLOW_TRACKING_URI": "http://127.0.0.1:1"}
    ended = run_api(**(settings | {missing: ""}))
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"{missing} is not set: ")
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use_is_named(start_api: StartApi) -> None:
    with start_api() as api:
        port = api.client.base_url.port
        ended = run_api(
            RAW_DATABASE_URL="postgresql+psycopg2://api@/raw_data",
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}",
            API_PORT=str(port),
        )
        assert ended.returncode == 2
        assert ended.stderr == f"the API cannot listen on 127.0.0.1:{port} (API_PORT): Address already in use\n"


def _waits_for_lock(engine: Engine) -> bool:
    with engine.connect() as connection:
        query = "select count(*) from pg_locks where not granted and relation = 'predictions'::regclass"
        return bool(connection.scalar(text(query)))

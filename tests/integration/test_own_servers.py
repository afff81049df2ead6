"""The servers that the settings name are used, and only what is missing is started."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, text

from modelyard.bootstrap import configured_servers
from modelyard.embedded.mlflow import MlflowProcesses
from modelyard.embedded.postgres import Postgres, PostgresServer
from modelyard.embedded.processes import free_ports
from modelyard.embedded.shared import wait_until
from modelyard.errors import BadInput, ServiceUnavailable
from modelyard.native.progress import Progress
from modelyard.native.runtime import LockOwner, Ports, check_same_servers, local_platform, with_logins
from modelyard.settings import Settings

HEARTBEAT_SECONDS = 60


@pytest.fixture
def new_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        yield Path(folder).resolve()


def own(home: Path, postgres: Postgres, tracking_uri: str, **changes: str) -> Settings:
    """Settings that name servers of the user's."""
    named: dict[str, Any] = {
        "raw_database_url": postgres.url("raw_data"),
        "clean_database_url": postgres.url("clean_data"),
        "mlflow_tracking_uri": tracking_uri,
    }
    return Settings(_env_file=None, modelyard_home=home, **{**named, **changes})


@pytest.mark.timeout(300)
def test_a_platform_uses_the_servers_that_are_set_and_starts_what_is_missing(
    new_home: Path, empty_postgres: Postgres, raw_engine: Engine, tracking_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = with_logins(own(new_home, empty_postgres, tracking_uri))
    with local_platform(settings, "demo", Ports.free(), ("api",), Progress()) as platform:
        # The API keeps its heartbeat where it keeps predictions.
        assert wait_until(lambda: beats(raw_engine) == 1, HEARTBEAT_SECONDS)
        assert MlflowProcesses(new_home).answering_port() is None
        assert platform.postgres.socket != empty_postgres.socket
        assert str(new_home) in str(platform.postgres.socket)
    said = capsys.readouterr().err
    assert f"uses RAW_DATABASE_URL: database raw_data on {empty_postgres.socket}" in said
    assert f"uses CLEAN_DATABASE_URL: database clean_data on {empty_postgres.socket}" in said
    assert f"uses MLFLOW_TRACKING_URI: {tracking_uri}" in said
    assert "Postgres answers, with airflow" in said
    assert not PostgresServer(new_home).is_running()


def beats(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("select count(*) from api_processes")) or 0)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"database": "postgres"}, BadInput, "run `modelyard migrate` with ADMIN_DATABASE_URL"),
        ({"mlflow_tracking_uri": "http://127.0.0.1:{port}"}, ServiceUnavailable, r"\(MLFLOW_TRACKING_URI\) does not"),
    ],
)
def test_a_server_that_cannot_be_used_is_named_before_anything_is_started(
    new_home: Path, empty_postgres: Postgres, changes: dict[str, str], error: type[Exception], words: str
) -> None:
    raw_url = empty_postgres.url(changes.get("database", "raw_data"))
    uri = changes.get("mlflow_tracking_uri", "http://127.0.0.1:{port}").format(port=free_ports(1)[0])
    settings = with_logins(own(new_home, empty_postgres, uri, raw_database_url=raw_url))
    with (
        pytest.raises(error, match=words),
        local_platform(settings, "demo", Ports.free(), ("api",), Progress()),
    ):
        pass
    assert not PostgresServer(new_home).exists()
    assert [process for process in psutil.process_iter(["cmdline"]) if str(new_home) in str(process.info)] == []


def test_a_platform_with_other_servers_is_not_taken_for_this_one(
    new_home: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    embedded = Settings(_env_file=None, modelyard_home=new_home)
    mine = own(new_home, postgres, "http://user:secret@mlflow.example:5000")
    assert configured_servers(embedded) == ()
    assert configured_servers(mine)[2] == "MLFLOW_TRACKING_URI: http://mlflow.example:5000"
    holder = LockOwner(kind="platform", pid=1, ports=Ports.free(), servers=configured_servers(mine))
    check_same_servers(mine, holder)
    with pytest.raises(
        BadInput, match=r"uses RAW_DATABASE_URL: .* and the settings here say the embedded servers alone"
    ):
        check_same_servers(embedded, holder)

"""What each role may do in the databases, and what it may not."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from modelyard.embedded.postgres import Postgres
from modelyard.stores.database import make_engine

PREDICTION = (
    "insert into predictions (request_id, use_case, model_version, features, prediction, latency_ms) "
    "values (gen_random_uuid(), 'loans', 1, '{}', '1', 2.5)"
)
STEP_RESULT = (
    "insert into step_results (pipeline_run, use_case, step, result, seconds) values ('run', 'loans', 'load', '{}', 1)"
)


def attempt(postgres: Postgres, role: str, statement: str, database: str = "raw_data") -> str:
    """The answer, or the reason why there is none."""
    engine = make_engine(postgres.url(database, role))
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return f"{result.fetchall()}" if result.returns_rows else "done"
    except (OperationalError, ProgrammingError) as error:
        return str(error.orig).strip()
    finally:
        engine.dispose()


def test_api_adds_predictions(postgres: Postgres, raw_engine: Engine) -> None:
    assert attempt(postgres, "api", PREDICTION) == "done"
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "select * from predictions",
        "select features from predictions",
        "update predictions set prediction = '0'",
        "delete from predictions",
        "select * from batches",
        "select * from step_results",
        STEP_RESULT,
        "create table anything (id int)",
    ],
)
def test_api_reads_and_changes_nothing_else(postgres: Postgres, statement: str) -> None:
    assert "permission denied" in attempt(postgres, "api", statement)


def test_api_looks_back_on_what_it_said_of_whom(postgres: Postgres) -> None:
    assert attempt(postgres, "api", "select request_id, record_key, prediction from predictions") == "[]"


def test_api_does_not_enter_other_databases(postgres: Postgres) -> None:
    assert "permission denied for database" in attempt(postgres, "api", "select 1", "clean_data")


def test_explorer_reads(postgres: Postgres, raw_engine: Engine) -> None:
    with raw_engine.begin() as connection:
        connection.execute(text("create table loans (id int)"))
        connection.execute(text("insert into loans values (7)"))
    assert attempt(postgres, "explorer", "select id from loans") == "[(7,)]"
    assert attempt(postgres, "explorer", "select * from predictions") == "[]"
    assert attempt(postgres, "explorer", "select * from snapshots", "clean_data") == "[]"


@pytest.mark.parametrize(
    "statement", [PREDICTION, STEP_RESULT, "delete from batches", "create table anything (id int)"]
)
def test_explorer_writes_nothing(postgres: Postgres, statement: str) -> None:
    assert "permission denied" in attempt(postgres, "explorer", statement)


@pytest.mark.parametrize("database", ["mlflow", "airflow"])
@pytest.mark.parametrize("role", ["pipeline", "api", "explorer"])
def test_the_services_databases_are_their_own(postgres: Postgres, role: str, database: str) -> None:
    assert "permission denied for database" in attempt(postgres, role, "select 1", database)
    assert attempt(postgres, database, "select 1", database) == "[(1,)]"
    assert "permission denied for database" in attempt(postgres, database, "select 1", "raw_data")


def test_pipeline_writes_its_results(postgres: Postgres, raw_engine: Engine) -> None:
    assert attempt(postgres, "pipeline", STEP_RESULT) == "done"
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from step_results")) == 1


def test_a_test_finds_empty_tables(raw_engine: Engine, clean_engine: Engine) -> None:
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 0
        assert connection.scalar(text("select count(*) from step_results")) == 0
        assert connection.scalar(text("select to_regclass('loans')")) is None
    with clean_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from snapshots")) == 0

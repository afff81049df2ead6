"""The table of predictions: parted by month, with every row that was there before, and a place for any other."""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from modelyard.embedded.postgres import Postgres
from modelyard.stores.database import make_engine
from modelyard.stores.predictions import PredictionStore

INSERT = text(
    "insert into predictions (request_id, use_case, model_version, features, prediction, latency_ms, created_at) "
    "values (:request_id, 'loans', 1, '{}', '1', 2.5, :created_at)"
)
PARTS = text("select tableoid::regclass::text, count(*) from predictions group by 1 order by 1")
OLD = datetime(2021, 3, 15, tzinfo=UTC)
NO_PARAMETERS = {"no_parameters": True}


def request_id(moment: datetime) -> uuid.UUID:
    """A UUIDv7 of a moment."""
    milliseconds = int(moment.timestamp() * 1000)
    return uuid.UUID(int=(milliseconds << 80) | (7 << 76) | (2 << 62) | uuid.uuid4().int % 2**62)


def add(connection: Connection, *moments: datetime) -> None:
    connection.execute(INSERT, [{"request_id": request_id(moment), "created_at": moment} for moment in moments])


def parts(connection: Connection) -> dict[str, int]:
    return {str(part): int(count) for part, count in connection.execute(PARTS)}


@pytest.fixture
def before(postgres: Postgres) -> Iterator[Engine]:
    """A database as the first migration made it."""
    admin = make_engine(postgres.admin_url).execution_options(isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text("create database before"))
    engine = make_engine(postgres.url("before", "postgres"))
    with engine.begin() as connection:
        run_migration(connection, "0001_initial.sql")
    yield engine
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text("drop database before"))
    admin.dispose()


def run_migration(connection: Connection, name: str) -> None:
    sql = (files("modelyard.stores") / "migrations" / "raw_data" / name).read_text("utf-8")
    connection.exec_driver_sql(sql, execution_options=NO_PARAMETERS)


def test_rows_of_the_table_as_it_was_are_kept_in_their_months(before: Engine) -> None:
    now = datetime.now(UTC)
    with before.begin() as connection:
        add(connection, OLD, OLD, now)
        run_migration(connection, "0002_partitioned_predictions.sql")
    with before.connect() as connection:
        assert parts(connection) == {"predictions_2021_03": 2, f"predictions_{now:%Y_%m}": 1}


def test_idempotency_keys_are_kept_when_callers_are_told_apart(before: Engine) -> None:
    with before.begin() as connection:
        run_migration(connection, "0003_idempotency_keys.sql")
        add_key(connection)
        run_migration(connection, "0008_callers_of_idempotency_keys.sql")
        assert connection.execute(text("select idempotency_key, caller from idempotency_keys")).all() == [("a", "")]
        connection.execute(text("update idempotency_keys set caller = 'somebody'"))
        add_key(connection)
        assert connection.scalar(text("select count(*) from idempotency_keys")) == 2


def add_key(connection: Connection) -> None:
    query = "insert into idempotency_keys (use_case, idempotency_key, body_sha256, request_id, answer) values"
    connection.execute(text(f"{query} ('loans', 'a', 'hash', '{uuid.uuid4()}', '{{}}')"))


def test_a_row_has_its_place_before_its_month_has_one(admin_raw_engine: Engine) -> None:
    with admin_raw_engine.begin() as connection:
        add(connection, OLD)
        assert parts(connection) == {"predictions_other": 1}
        assert connection.scalar(text("select add_prediction_month(:moment)"), {"moment": OLD})
        assert parts(connection) == {"predictions_2021_03": 1}
        add(connection, OLD)
        assert parts(connection) == {"predictions_2021_03": 2}
        assert not connection.scalar(text("select add_prediction_month(:moment)"), {"moment": OLD})


@pytest.mark.parametrize("moment", ["2024-02-29 23:59:59.999+00", "2024-12-31 12:00+00", "2024-03-01 00:00+00"])
def test_a_month_takes_its_first_and_its_last_millisecond(admin_raw_engine: Engine, moment: str) -> None:
    with admin_raw_engine.begin() as connection:
        instant = connection.scalar(text("select cast(:moment as timestamptz)"), {"moment": moment})
        connection.execute(text("select add_prediction_month(:moment)"), {"moment": instant})
        add(connection, instant)
        assert parts(connection) == {f"predictions_{instant:%Y_%m}": 1}


def test_the_next_months_have_their_places(raw_engine: Engine) -> None:
    with raw_engine.connect() as connection:
        found = connection.scalars(text("select relid::regclass::text from pg_partition_tree('predictions')"))
        assert len([part for part in found if part > f"predictions_{datetime.now(UTC):%Y_%m}"]) >= 3


def test_the_api_makes_months_and_drops_none(postgres: Postgres, raw_engine: Engine) -> None:
    assert raw_engine
    engine = make_engine(postgres.url("raw_data", "api"))
    try:
        with engine.begin() as connection:
            connection.execute(text("select add_prediction_months()"))
        for statement in ("select drop_prediction_months(1)", "select add_prediction_month(now())"):
            with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def test_months_that_are_too_old_are_dropped(raw_engine: Engine, admin_raw_engine: Engine) -> None:
    now = datetime.now(UTC)
    with admin_raw_engine.begin() as connection:
        add(connection, OLD)
        connection.execute(text("select add_prediction_month(:moment)"), {"moment": OLD})
        add(connection, datetime(2020, 1, 1, tzinfo=UTC), now)
    store = PredictionStore(raw_engine)
    assert store.prune(months=100_000 // 12) == 0
    assert store.prune(months=12) == 1
    with admin_raw_engine.connect() as connection:
        assert parts(connection) == {f"predictions_{now:%Y_%m}": 1}
    assert store.prune(months=12) == 0

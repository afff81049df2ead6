"""What is in the log of predictions, held against what clients were answered."""

import uuid
from collections import Counter
from datetime import UTC, datetime

from sqlalchemy import Engine, text

from services.api.log.rows import Row
from tests.services.load import Load
from tests.services.running_api import RunningApi

CLIENTS = 8
ENOUGH = 200
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def in_table(engine: Engine) -> list[str]:
    query = "select request_id from predictions where role = 'production'"
    with engine.connect() as connection:
        return [str(each) for each in connection.scalars(text(query))]


def check_kept(kept: list[str], load: Load, killed: int = 0) -> None:
    """Holds the table against what clients were answered."""
    assert len(load.request_ids) >= ENOUGH
    assert len(set(load.request_ids)) == len(load.request_ids)
    assert [each for each, count in Counter(kept).items() if count > 1] == []
    assert set(load.request_ids) - set(kept) == set()
    assert len(set(kept) - set(load.request_ids)) <= killed


def is_drained(api: RunningApi) -> bool:
    return api.spooled() == 0


def row(number: int = 0, features: str = "{}") -> Row:
    return Row(str(uuid.UUID(int=number)), "loans", 1, "production", None, features, "1", None, 2.5, NOW)

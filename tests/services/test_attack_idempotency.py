"""One who has an API key gets no answers of another, whatever Idempotency-Keys they send."""

import hashlib
import json
import sqlite3
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import httpx
from sqlalchemy import Engine, text

from services.api.log.spool import MEGABYTE, adopt
from tests.services.conftest import StartApi
from tests.services.made_models import LOAN_RECORD
from tests.services.own_postgres import OwnPostgres
from tests.services.running_api import RunningApi, wait_until

KEYS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("alice", "bob")}
# As a process wrote it before callers were told apart.
OLD_SCHEMA = """
create table predictions (
    request_id text primary key, use_case text not null, model_version integer not null, role text not null,
    record_key text, features text not null, prediction text not null, probabilities text, latency_ms real not null,
    created_at text not null
) without rowid;
create table idempotency_keys (
    use_case text not null, idempotency_key text not null, body_sha256 text not null, request_id text not null,
    answer text not null, created_at text not null,
    primary key (use_case, idempotency_key)
) without rowid;
create table refused (request_id text primary key, reason text not null, row text not null) without rowid;
"""


def ask(api: RunningApi, who: str | None, key: str = "order 1", **changes: object) -> httpx.Response:
    headers = {"Idempotency-Key": key} | ({"X-API-Key": who} if who else {})
    return api.client.post("/predict", json=LOAN_RECORD | changes, headers=headers)


def wait_until_ready(api: RunningApi) -> None:
    wait_until(lambda: api.client.get("/ready").status_code == 200, api.logged)


def test_callers_have_keys_of_their_own(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api(api_keys=",".join(KEYS.values())) as api, start_api(api_keys=",".join(KEYS.values())) as other:
        wait_until_ready(api)
        wait_until_ready(other)
        hers, his = ask(api, "alice"), ask(api, "bob", age=36)
        assert hers.status_code == his.status_code == 200
        assert hers.json()["request_id"] != his.json()["request_id"]
        # The same of either is the same answer, in whichever process.
        for process in (api, other):
            assert ask(process, "alice").content == hers.content
            assert ask(process, "bob", age=36).content == his.content
            assert ask(process, "bob").status_code == 409
    with raw_engine.connect() as connection:
        callers = set(connection.scalars(text("select caller from idempotency_keys where idempotency_key = 'order 1'")))
    assert len(callers) == 2
    # What is kept lets nobody in.
    assert not callers & {*KEYS, *KEYS.values()}


def test_callers_have_keys_of_their_own_while_the_database_is_away(
    start_api: StartApi, own_postgres: OwnPostgres
) -> None:
    settings = {"raw_database_url": own_postgres.url("api"), "api_keys": ",".join(KEYS.values())}
    with start_api(**settings) as api:
        wait_until_ready(api)
        own_postgres.stop()
        hers, his = ask(api, "alice"), ask(api, "bob", age=36)
        assert hers.status_code == his.status_code == 200
    with start_api(**settings) as api:
        wait_until(lambda: "of a process that has ended" in api.logged() and spooled(api) == 2, api.logged)
        assert ask(api, "alice").content == hers.content
        assert ask(api, "bob", age=36).content == his.content
        own_postgres.start()
        wait_until(lambda: spooled(api) == 0, api.logged)
        assert ask(api, "alice").content == hers.content
        assert ask(api, "bob").status_code == 409


def spooled(api: RunningApi) -> int:
    return int(api.client.get("/health", headers={"X-API-Key": "alice"}).json()["spool"]["rows"])


def old_spool(folder: Path) -> str:
    """A file of before with one row and its key; returns the answer."""
    folder.mkdir(parents=True, exist_ok=True)
    request_id, now = str(uuid.uuid4()), datetime.now(UTC).isoformat()
    answer = json.dumps({"request_id": request_id})
    row = (request_id, "loan_approval", 1, "production", None, json.dumps(LOAN_RECORD), "1", None, 2.5, now)
    # As it is told from others: by a hash of how it was asked and of its body.
    body = httpx.Request("POST", "http://x", json=LOAN_RECORD).content
    hashed = hashlib.sha256(b"single\n" + body).hexdigest()
    with closing(sqlite3.connect(folder / f"{uuid.uuid4()}.sqlite3")) as connection:
        connection.executescript(OLD_SCHEMA)
        connection.execute("insert into predictions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        claim = ("loan_approval", "order 1", hashed, request_id, answer, now)
        connection.execute("insert into idempotency_keys values (?, ?, ?, ?, ?, ?)", claim)
        connection.commit()
    return answer


def test_a_spool_of_before_is_drained_and_its_keys_still_stand(
    start_api: StartApi, tmp_path: Path, raw_engine: Engine
) -> None:
    assert raw_engine
    spools = tmp_path / "home" / "spool"
    answer = old_spool(spools)
    with start_api() as api:
        api.wait_for_version(1)
        wait_until(lambda: len(list(spools.glob("*.sqlite3"))) == 1, api.logged)
        assert ask(api, None).text == answer
        assert ask(api, None, age=36).status_code == 409
        assert ask(api, None, key="another", age=36).status_code == 200
    with raw_engine.connect() as connection:
        query = text("select count(*) from predictions where request_id = :id")
        assert connection.scalar(query, {"id": json.loads(answer)["request_id"]}) == 1


def test_a_spool_of_before_may_be_full(tmp_path: Path) -> None:
    old_spool(tmp_path)
    [spool] = adopt(tmp_path, (), MEGABYTE // 32)
    rows, claims = spool.oldest(10)
    assert [claim.caller for claim in claims] == [""]
    spool.remove(rows, claims)
    assert spool.is_empty
    spool.close()

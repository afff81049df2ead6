"""An answered prediction is a kept one, exactly once, whatever fails.

Shown each time: every request id that got a 200 is in the table; nothing is there twice (the key of the table would not
have it, and the count says so); what is there without a 200 that somebody saw is no more than the requests that were
under way when the process was killed, and nothing where none was killed.
"""

import json
import resource
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from modelyard.embedded.postgres import Postgres
from services.api.log.rows import LogEntry
from services.api.log.spool import MEGABYTE, Spool
from services.api.service import PROBE_SECONDS
from tests.services.conftest import StartApi
from tests.services.folder_source import FolderSource
from tests.services.load import Load, loaded
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.own_postgres import OwnPostgres
from tests.services.running_api import RunningApi, wait_until
from tests.services.test_spool import row

CLIENTS = 8
COMMIT_SECONDS = 1.0
OUTAGE_SECONDS = 3.0
ENOUGH = 200
PAGE_BYTES = 4096
PROBES = 20


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


def test_killed_under_load(start_api: StartApi, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        with loaded(api.port, CLIENTS) as load:
            load.wait_for(ENOUGH)
            api.kill()
    assert load.lost == CLIENTS
    check_kept(in_table(raw_engine), load, killed=CLIENTS)


@pytest.fixture
def api_of_its_own(start_api: StartApi, own_postgres: OwnPostgres) -> Iterator[RunningApi]:
    """An API whose database the test may stop."""
    with start_api(raw_database_url=own_postgres.url("api"), api_commit_seconds=COMMIT_SECONDS) as api:
        api.wait_for_version(1)
        yield api


def test_postgres_is_stopped_under_load_and_started_again(
    api_of_its_own: RunningApi, own_postgres: OwnPostgres
) -> None:
    api = api_of_its_own
    with loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
        own_postgres.stop()
        load.wait_for(ENOUGH)
        time.sleep(OUTAGE_SECONDS)
        own_postgres.start()
        wait_until(lambda: is_drained(api), api.logged)
        load.wait_for(ENOUGH)
    wait_until(lambda: is_drained(api), api.logged)
    assert (load.lost, load.statuses) == (0, {})
    # Nobody waited for the database longer than was allowed; the rest is what a busy machine takes.
    assert load.slowest_seconds < COMMIT_SECONDS + 2
    assert "predictions go to the spool" in api.logged()
    check_kept(own_postgres.request_ids(), load)


def test_postgres_hangs_under_load(api_of_its_own: RunningApi, own_postgres: OwnPostgres) -> None:
    api = api_of_its_own
    with loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
        with own_postgres.frozen(), ThreadPoolExecutor(PROBES) as pool:
            load.wait_for(ENOUGH)
            probes = list(pool.map(api.client.get, ["/ready", "/health"] * (PROBES // 2)))
        load.wait_for(ENOUGH)
    wait_until(lambda: is_drained(api), api.logged)
    assert {probe.status_code for probe in probes} == {200}
    # None waits for another's time limit.
    assert max(probe.elapsed.total_seconds() for probe in probes) < PROBE_SECONDS + 5
    assert (load.lost, load.statuses) == (0, {})
    assert load.slowest_seconds < COMMIT_SECONDS + 2
    check_kept(own_postgres.request_ids(), load)


def test_killed_while_postgres_is_away(start_api: StartApi, own_postgres: OwnPostgres, tmp_path: Path) -> None:
    url = own_postgres.url("api")
    with start_api(raw_database_url=url, api_commit_seconds=COMMIT_SECONDS) as api:
        api.wait_for_version(1)
        own_postgres.stop()
        with loaded(api.port, CLIENTS) as load:
            load.wait_for(ENOUGH)
            api.kill()
    own_postgres.start()
    assert own_postgres.request_ids() == []
    with start_api(raw_database_url=url) as api:
        wait_until(lambda: len(own_postgres.request_ids()) >= len(load.request_ids), api.logged)
        wait_until(lambda: is_drained(api), api.logged)
        assert "of a process that has ended" in api.logged()
    check_kept(own_postgres.request_ids(), load, killed=CLIENTS)
    assert list((tmp_path / "home" / "spool").iterdir()) == []


def test_killed_while_draining(start_api: StartApi, empty_postgres: Postgres, admin_raw_engine: Engine) -> None:
    """The rows are on their way to the database, in a statement that waits for a lock, when the process is killed."""
    url = empty_postgres.url("raw_data", "api")
    with start_api(raw_database_url=url, api_commit_seconds=COMMIT_SECONDS) as api:
        api.wait_for_version(1)
        with admin_raw_engine.begin() as connection:
            connection.execute(text("lock table predictions in share mode"))
            with loaded(api.port, CLIENTS) as load:
                load.wait_for(ENOUGH)
                wait_until(lambda: _a_drain_waits(admin_raw_engine), api.logged)
                api.kill()
    with start_api(raw_database_url=url) as api:
        wait_until(lambda: "of a process that has ended" in api.logged() and is_drained(api), api.logged)
    check_kept(in_table(admin_raw_engine), load, killed=CLIENTS)


def _a_drain_waits(engine: Engine) -> bool:
    """A statement that waits for the lock within a transaction: that of the drain, not of a commit of one group."""
    query = (
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%add_predictions%' "
        "and xact_start < query_start"
    )
    with engine.connect() as connection:
        return bool(connection.scalar(text(query)))


def test_a_process_adopts_what_another_one_leaves_behind(start_api: StartApi, own_postgres: OwnPostgres) -> None:
    url = own_postgres.url("api")
    with start_api(raw_database_url=url) as living, start_api(raw_database_url=url) as dying:
        living.wait_for_version(1)
        dying.wait_for_version(1)
        own_postgres.stop()
        with loaded(dying.port, CLIENTS) as load:
            load.wait_for(ENOUGH)
            dying.kill()
        own_postgres.start()
        wait_until(lambda: len(own_postgres.request_ids()) >= len(load.request_ids), living.logged)
        wait_until(lambda: is_drained(living), living.logged)
    check_kept(own_postgres.request_ids(), load, killed=CLIENTS)


def overwrite(file: Path, start: int, content: bytes) -> None:
    with file.open("r+b") as opened:
        opened.seek(start)
        opened.write(content)


DAMAGES = {
    "none of it can be read": lambda file: overwrite(file, 0, b"no database" * 1000),
    "a row in it cannot be read": lambda file: overwrite(file, 10 * PAGE_BYTES, bytes(PAGE_BYTES)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_spool_holds_up_no_other(
    start_api: StartApi, raw_engine: Engine, tmp_path: Path, damage: str
) -> None:
    folder = tmp_path / "home" / "spool"
    folder.mkdir(parents=True)
    for number, name in enumerate(("first", "in_between", "last")):
        spool = Spool(folder / f"{name}.sqlite3", MEGABYTE)
        spool.add([LogEntry((row(number, features=json.dumps("x" * 20 * PAGE_BYTES)),))])
        spool.close()
    DAMAGES[damage](folder / "in_between.sqlite3")
    with start_api() as api:
        wait_until(lambda: len(in_table(raw_engine)) == 2, api.logged)
        wait_until(lambda: is_drained(api), api.logged)
        assert f"in_between.sqlite3 is damaged: what can be saved of its rows is in {folder}" in api.logged()
    assert [file.name for file in folder.iterdir()] == ["in_between.sqlite3.damaged"]


def test_a_full_spool_answers_nothing_that_is_not_kept(start_api: StartApi, own_postgres: OwnPostgres) -> None:
    settings = {"api_spool_limit_mb": 1, "api_commit_seconds": COMMIT_SECONDS}
    with start_api(raw_database_url=own_postgres.url("api"), **settings) as api:
        api.wait_for_version(1)
        own_postgres.stop()
        with loaded(api.port, CLIENTS) as load:
            wait_until(lambda: load.statuses[503] > ENOUGH, api.logged)
        refused = api.predict(LOAN_RECORD)
        assert refused.status_code == 503
        assert "the spool on the disk takes no more" in refused.json()["detail"]
        assert int(refused.headers["retry-after"]) > 0
        assert api.client.get("/ready").status_code == 503
        own_postgres.start()
        wait_until(lambda: is_drained(api), api.logged)
        load.request_ids.append(api.answer(LOAN_RECORD)["request_id"])
        assert api.client.get("/ready").status_code == 200
    assert set(load.statuses) == {503}
    check_kept(own_postgres.request_ids(), load)


def test_a_full_disk_keeps_no_answer_from_a_database_that_is_back(
    api_of_its_own: RunningApi, own_postgres: OwnPostgres
) -> None:
    api = api_of_its_own
    own_postgres.stop()
    answered = [api.answer(LOAN_RECORD)["request_id"] for _ in range(3)]
    before = resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE, (0, before[1]))
    assert api.predict(LOAN_RECORD).status_code == 503
    assert api.client.get("/ready").status_code == 503
    own_postgres.start()
    wait_until(lambda: api.client.get("/ready").status_code == 200)
    wait_until(lambda: api.predict(LOAN_RECORD).status_code == 200)
    assert api.spooled() == len(answered)
    resource.prlimit(api.process.pid, resource.RLIMIT_FSIZE, before)
    wait_until(lambda: is_drained(api), api.logged)
    assert set(answered) < set(own_postgres.request_ids())


def test_swapped_under_load(start_api: StartApi, source: FolderSource, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
        with loaded(api.port, CLIENTS) as load:
            for version in (2, 3):
                load.wait_for(ENOUGH)
                put(source, version, loan_contract(), LOAN_RECORD, bias=version)
                source.point(loan_approval=version)
                api.wait_for_version(version)
            load.wait_for(ENOUGH)
    assert (load.lost, load.statuses) == (0, {})
    assert set(load.versions) == {1, 2, 3}
    check_kept(in_table(raw_engine), load)


def test_without_a_registry_at_the_start(start_api: StartApi, source: FolderSource, raw_engine: Engine) -> None:
    with start_api() as api:
        api.wait_for_version(1)
    source.go_away()
    with start_api() as api, loaded(api.port, CLIENTS) as load:
        load.wait_for(ENOUGH)
    assert (load.lost, load.statuses) == (0, {})
    check_kept(in_table(raw_engine), load)


REFUSED = "alter table predictions add constraint no_seven check (record_key is distinct from '7')"
NOT_REFUSED = "alter table predictions drop constraint no_seven"


@pytest.fixture
def refused_sevens(admin_raw_engine: Engine) -> Iterator[Engine]:
    """A table that refuses the record with the key 7, once the test has put the constraint there."""
    yield admin_raw_engine
    with admin_raw_engine.begin() as connection:
        connection.execute(text(NOT_REFUSED))


def ask_numbered(api: RunningApi) -> dict[int, int]:
    """Asks for ten records at the same time; the status of each."""
    with ThreadPoolExecutor(10) as pool:
        asked = {number: pool.submit(api.predict, LOAN_RECORD | {"id": number}) for number in range(10)}
    return {number: each.result().status_code for number, each in asked.items()}


def keys_in_table(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return sorted(int(key) for key in connection.scalars(text("select record_key from predictions")))


def test_a_row_that_the_database_refuses_is_not_answered_and_holds_up_no_other(
    start_api: StartApi, refused_sevens: Engine
) -> None:
    with refused_sevens.begin() as connection:
        connection.execute(text(REFUSED))
    with start_api() as api:
        api.wait_for_version(1)
        assert ask_numbered(api) == {number: 503 if number == 7 else 200 for number in range(10)}
        assert api.spooled() == 0
        assert "the database refuses a row" in api.logged()
    assert keys_in_table(refused_sevens) == [number for number in range(10) if number != 7]


def test_a_row_that_is_refused_only_after_an_outage_is_kept_apart(
    start_api: StartApi, refused_sevens: Engine, tmp_path: Path
) -> None:
    with start_api(api_commit_seconds=COMMIT_SECONDS) as api:
        api.wait_for_version(1)
        with refused_sevens.begin() as connection:
            connection.execute(text("lock table predictions in access exclusive mode"))
            assert set(ask_numbered(api).values()) == {200}
            connection.execute(text(REFUSED))
        wait_until(lambda: is_drained(api), api.logged)
        assert api.client.get("/health").json()["spool"]["refused"] == 1
        assert keys_in_table(refused_sevens) == [number for number in range(10) if number != 7]
    assert len(list((tmp_path / "home" / "spool").glob("*.sqlite3"))) == 1

"""The spool on its own: what is in it, how much, and whose it is."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.api.log.rows import Claim, LogEntry, Row
from services.api.log.spool import MEGABYTE, Spool, SpoolTaken, adopt

REPOSITORY = Path(__file__).parents[2]
LIMIT = MEGABYTE
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def row(number: int = 0, features: str = "{}") -> Row:
    return Row(str(uuid.UUID(int=number)), "loans", 1, "production", None, features, "1", None, 2.5, NOW)


def claim(number: int) -> Claim:
    return Claim("loans", f"key {number}", "hash", str(uuid.UUID(int=number)), "{}", NOW)


def test_rows_come_back_as_they_went_in_oldest_first(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(3),)), LogEntry((row(1), row(2)), claim(1))])
    assert spool.oldest(2) == ([row(1), row(2)], [claim(1)])
    assert (spool.rows, spool.is_empty) == (3, False)
    spool.remove([row(1), row(2), row(3)], [])
    assert (spool.rows, spool.is_empty) == (0, False)
    spool.remove([], [claim(1)])
    assert spool.is_empty
    spool.close()


def test_a_row_that_is_there_is_not_added_again(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(1),))])
    spool.add([LogEntry((row(1),))])
    assert spool.rows == 1
    spool.close()


def test_what_was_added_is_there_for_who_comes_next(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(1),), claim(1))])
    spool.close()
    [adopted] = adopt(tmp_path, (), LIMIT)
    assert adopted.oldest(10) == ([row(1)], [claim(1)])
    assert adopted.rows == 1
    adopted.remove([row(1)], [claim(1)])
    adopted.close()
    assert list(tmp_path.iterdir()) == []


def test_a_living_process_keeps_its_own(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    assert adopt(tmp_path, (), LIMIT) == []
    with pytest.raises(SpoolTaken):
        Spool(spool.file, LIMIT)
    spool.close()


def _add_and_die(folder: Path) -> None:
    spool = Spool.own(folder, LIMIT)
    spool.add([LogEntry((row(1),))])
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_dead_process_loses_its_lock_and_not_its_rows(tmp_path: Path) -> None:
    # Not by multiprocessing: it runs the main module, which Streamlit's tests change in this process.
    program = f"from pathlib import Path; from {__name__} import _add_and_die; _add_and_die(Path({str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", program], check=False, cwd=REPOSITORY)
    assert done.returncode == -signal.SIGKILL
    [adopted] = adopt(tmp_path, (), LIMIT)
    assert adopted.oldest(10)[0] == [row(1)]
    adopted.close()


def test_a_full_spool_takes_all_of_a_group_or_nothing(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    large = "x" * 10_000
    for number in range(5):
        spool.add([LogEntry((row(number, large),))])
    assert not spool.is_full
    with pytest.raises(sqlite3.OperationalError, match="full"):
        spool.add([LogEntry((row(number, large),)) for number in range(10, 200)])
    assert spool.is_full
    assert spool.rows == len(spool.oldest(100)[0]) == 5
    spool.add([LogEntry((row(number, large),))])
    number = 10
    while not spool.is_full:
        spool.add([LogEntry((row(number, large),))])
        number += 1
    assert sum(file.stat().st_size for file in tmp_path.glob("*.sqlite3")) <= LIMIT
    spool.remove(spool.oldest(number)[0], [])
    assert (spool.is_empty, spool.is_full) == (True, False)
    spool.add([LogEntry((row(number, large),)) for number in range(10, 18)])
    spool.close()


def test_what_a_full_disk_does_not_let_go_of_is_still_there(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(number),), claim(number)) for number in range(100)])
    rows, claims = spool.oldest(100)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        with pytest.raises(sqlite3.Error):
            spool.remove(rows, claims)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (spool.rows, spool.oldest(100)) == (100, (rows, claims))
    spool.remove(rows, claims)
    assert spool.is_empty
    spool.close()


def test_a_file_that_was_large_is_small_again(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, 20 * LIMIT)
    spool.add([LogEntry((row(number, "x" * 100_000),)) for number in range(100)])
    spool.remove([row(number) for number in range(100)], [])
    assert spool.bytes < MEGABYTE
    assert spool.file.stat().st_size < MEGABYTE
    spool.close()


def test_what_the_database_refuses_is_kept_apart(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(1),)), LogEntry((row(2),))])
    spool.set_aside(row(1), "no")
    assert (spool.oldest(10)[0], spool.rows, spool.refused) == ([row(2)], 1, 1)
    spool.remove([row(2)], [])
    spool.close()
    [again] = adopt(tmp_path, (), LIMIT)
    assert (again.is_empty, again.refused) == (True, 1)
    again.close()


def test_a_file_from_before_answers_had_intervals_is_adopted(tmp_path: Path) -> None:
    spool = Spool.own(tmp_path, LIMIT)
    spool.add([LogEntry((row(1),))])
    spool.close()
    with closing(sqlite3.connect(spool.file)) as connection, connection:
        for name in ("lower", "upper"):
            connection.execute(f"alter table predictions drop column {name}")
    [adopted] = adopt(tmp_path, (), LIMIT)
    with_ends = row(2)._replace(lower=1.5, upper=2.5)
    adopted.add([LogEntry((with_ends,))])
    assert adopted.oldest(10) == ([row(1), with_ends], [])
    adopted.remove([row(1), with_ends], [])
    adopted.close()

"""Keeps rows on the local disk while the database does not take them, so that answers need not wait for it.

Each process has a file of its own (SQLite, every group of rows synced to the disk before anything is answered) and
holds a lock on it for as long as it lives. The kernel lets go of the lock however a process ends; a living one then
adopts the file, brings its rows to the database and removes it.
"""

import fcntl
import logging
import os
import sqlite3
import uuid
from collections.abc import Collection, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Self

from services.api.log.rows import Claim, LogEntry, Row

LOGGER = logging.getLogger(__name__)

ENDING = ".sqlite3"
LOCK_ENDING = ".lock"
DAMAGED_ENDING = ".damaged"
MEGABYTE = 1024 * 1024
# A file that has grown beyond this is made small again when it is empty.
SMALL_BYTES = 4 * MEGABYTE
# From this share of its limit on a file counts as full.
FULL_SHARE = 0.95

SCHEMA = """
create table if not exists predictions (
    request_id text primary key, use_case text not null, model_version integer not null, role text not null,
    record_key text, features text not null, prediction text not null, probabilities text, latency_ms real not null,
    created_at text not null, lower real, upper real
) without rowid;
create table if not exists idempotency_keys (
    use_case text not null, idempotency_key text not null, body_sha256 text not null, request_id text not null,
    answer text not null, created_at text not null, caller text not null default '',
    primary key (caller, use_case, idempotency_key)
) without rowid;
create table if not exists refused (request_id text primary key, reason text not null, row text not null) without rowid;
"""
ADD_ROWS = "insert or ignore into predictions values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
ADD_CLAIMS = "insert or replace into idempotency_keys values (?, ?, ?, ?, ?, ?, ?)"
OLDEST_ROWS = "select * from predictions order by request_id limit ?"
ANY_CLAIMS = "select * from idempotency_keys limit ?"
FIND_CLAIM = "select * from idempotency_keys where caller = ? and use_case = ? and idempotency_key = ?"
REMOVE_ROW = "delete from predictions where request_id = ?"
REMOVE_CLAIM = (
    "delete from idempotency_keys where caller = ? and use_case = ? and idempotency_key = ? and request_id = ?"
)
HAS_CALLERS = "select exists (select 1 from pragma_table_info('idempotency_keys') where name = 'caller')"
# To a file from before callers were told apart. It is only emptied: that its primary key lacks them does no harm.
ADD_CALLERS = "alter table idempotency_keys add column caller text not null default ''"
HAS_INTERVALS = "select exists (select 1 from pragma_table_info('predictions') where name = 'lower')"
# To a file from before answers had intervals.
ADD_INTERVALS = "alter table predictions add column lower real; alter table predictions add column upper real"
SET_ASIDE = "insert or replace into refused values (?, ?, ?)"
COUNT_ROWS = "select count(*) from predictions"
# Not how many: that would take the longer the more there are, for each group that comes in.
HAS_CLAIMS = "select exists (select 1 from idempotency_keys)"
COUNT_REFUSED = "select count(*) from refused"


class SpoolTaken(Exception):
    """Another process that lives holds the file."""


class Spool:
    """One file of rows. To be used by one thread at a time; every method waits for the disk.

    Args:
        file: Where; made when it is not there.
        limit_bytes: How large it may become.

    Attributes:
        rows: How many rows wait in it.
        has_claims: Whether keys wait in it.
        refused: How many rows it has set aside.
        bytes: How much of the disk all that takes.

    Raises:
        SpoolTaken: It is another process's.
        OSError, sqlite3.Error: It cannot be made or read.
    """

    def __init__(self, file: Path, limit_bytes: int) -> None:
        self.file = file
        self._limit_bytes = limit_bytes
        self._has_refused_last = False
        self._lock = _lock(file.with_suffix(LOCK_ENDING))
        try:
            self._connection = _open(file, limit_bytes)
            self.rows, self.refused = map(self._count, (COUNT_ROWS, COUNT_REFUSED))
            self.has_claims = self._has_claims()
            self.bytes = self._measure()
        except BaseException:
            os.close(self._lock)
            raise

    @classmethod
    def own(cls, folder: Path, limit_bytes: int) -> Self:
        """A new one for this process."""
        folder.mkdir(parents=True, exist_ok=True)
        name = str(uuid.uuid4())
        try:
            return cls(folder / f"{name}{ENDING}", limit_bytes)
        except BaseException:
            for left in folder.glob(f"{name}*"):
                left.unlink()
            raise

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing in it that the database should have."""
        return not self.rows and not self.has_claims

    @property
    def is_full(self) -> bool:
        """Whether it has hardly any room left, or the disk has none."""
        return self._has_refused_last or self.bytes > FULL_SHARE * self._limit_bytes

    def add(self, group: Iterable[LogEntry]) -> None:
        """Keeps what belongs to some requests; it is on the disk when this returns.

        Raises:
            sqlite3.Error: Nothing of it is kept: the spool or the disk is full, or the disk fails.
        """
        rows = [_plain(row) for kept in group for row in kept.rows]
        claims = [_plain(kept.claim) for kept in group if kept.claim]
        try:
            with self._connection:
                added = self._connection.executemany(ADD_ROWS, rows).rowcount
                self._connection.executemany(ADD_CLAIMS, claims)
        except sqlite3.Error:
            self._has_refused_last = True
            raise
        self._has_refused_last = False
        self.rows += added
        self.has_claims = self.has_claims or bool(claims)
        self.bytes = self._measure()

    def oldest(self, count: int) -> tuple[list[Row], list[Claim]]:
        """The rows that were kept first, and some keys."""
        rows = [
            Row._make((*before, datetime.fromisoformat(created_at), lower, upper))
            for *before, created_at, lower, upper in self._connection.execute(OLDEST_ROWS, (count,))
        ]
        return rows, self._read_claims(ANY_CLAIMS, count)

    def find_claim(self, caller: str, use_case: str, key: str) -> Claim | None:
        """What was answered to a caller under a key, if that is in it."""
        found = self._read_claims(FIND_CLAIM, caller, use_case, key)
        return found[0] if found else None

    def remove(self, rows: Sequence[Row], claims: Sequence[Claim]) -> None:
        """Forgets what the database has now."""
        keys = [(claim.caller, claim.use_case, claim.idempotency_key, claim.request_id) for claim in claims]
        with self._connection:
            removed = self._connection.executemany(REMOVE_ROW, [(row.request_id,) for row in rows]).rowcount
            self._connection.executemany(REMOVE_CLAIM, keys)
        self.rows -= removed
        self.has_claims = self._has_claims()
        self._has_refused_last = False
        if self.is_empty and self.file.stat().st_size > SMALL_BYTES:
            self._connection.execute("vacuum")
            self._connection.execute("pragma wal_checkpoint(truncate)")
        self.bytes = self._measure()

    def set_aside(self, row: Row, reason: str) -> None:
        """Keeps a row apart that the database will never take, so that it holds up no other."""
        with self._connection:
            self._connection.execute(SET_ASIDE, (row.request_id, reason, repr(tuple(row))))
            self._connection.execute(REMOVE_ROW, (row.request_id,))
        self.rows -= 1
        self.refused += 1

    def close(self) -> None:
        """Lets go of the file; one with nothing in it is removed."""
        self._connection.close()
        if self.is_empty and not self.refused:
            for file in (self.file, self.file.with_suffix(LOCK_ENDING)):
                file.unlink(missing_ok=True)
        os.close(self._lock)

    def _read_claims(self, query: str, *arguments: object) -> list[Claim]:
        found = self._connection.execute(query, arguments)
        return [
            Claim._make((*before, datetime.fromisoformat(created_at), caller)) for *before, created_at, caller in found
        ]

    def _has_claims(self) -> bool:
        return bool(self._count(HAS_CLAIMS))

    def _measure(self) -> int:
        pages = self._count("pragma page_count") - self._count("pragma freelist_count")
        return pages * self._count("pragma page_size")

    def _count(self, query: str) -> int:
        with closing(self._connection.execute(query)) as cursor:
            return int(cursor.fetchone()[0])


def adopt(folder: Path, known: Collection[Path], limit_bytes: int) -> list[Spool]:
    """Takes over the files of processes that have ended, but those that are known; one that fails stops no other."""
    adopted = []
    for file in sorted(folder.glob(f"*{ENDING}")):
        if file in known:
            continue
        try:
            spool = Spool(file, limit_bytes)
        except (SpoolTaken, FileNotFoundError):
            continue
        except (OSError, sqlite3.Error) as error:
            LOGGER.error("%s of a process that has ended cannot be adopted: %s", file, error)
            if is_damaged(error):
                put_away(file)
        else:
            LOGGER.info("adopted %s with %d rows of a process that has ended", file.name, spool.rows)
            adopted.append(spool)
    return adopted


def is_damaged(error: Exception) -> bool:
    """Whether an error means that a file cannot be read, now or ever."""
    # The lowest byte is the kind of the error, the others tell more of it.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def put_away(file: Path) -> None:
    """Renames a damaged file that nobody has open, so that nobody tries it again; a person may save what is in it."""
    damaged = Path(f"{file}{DAMAGED_ENDING}")
    LOGGER.error("%s is damaged: what can be saved of its rows is in %s", file.name, damaged)
    for ending in ("", "-wal"):
        with suppress(FileNotFoundError):
            Path(f"{file}{ending}").rename(f"{damaged}{ending}")
    file.with_suffix(LOCK_ENDING).unlink(missing_ok=True)


def _open(file: Path, limit_bytes: int) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False)
    try:
        connection.execute("pragma journal_mode = wal")
        # A commit returns when the disk has it.
        connection.execute("pragma synchronous = full")
        page_size = connection.execute("pragma page_size").fetchone()[0]
        connection.execute(f"pragma max_page_count = {max(limit_bytes // page_size, 16)}")
        connection.executescript(SCHEMA)
        if not connection.execute(HAS_CALLERS).fetchone()[0]:
            connection.execute(ADD_CALLERS)
        if not connection.execute(HAS_INTERVALS).fetchone()[0]:
            connection.executescript(ADD_INTERVALS)
    except BaseException:
        connection.close()
        raise
    return connection


def _lock(file: Path) -> int:
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who had the lock before may have removed the file, which then locks nothing.
        if os.fstat(descriptor).st_nlink == 0:
            raise SpoolTaken
    except BlockingIOError:
        os.close(descriptor)
        raise SpoolTaken from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _plain(values: Row | Claim) -> tuple[object, ...]:
    return tuple(value.isoformat() if isinstance(value, datetime) else value for value in values)

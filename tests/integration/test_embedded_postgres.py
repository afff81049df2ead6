"""The embedded Postgres: shared, stopped after the last user, and well after every crash."""

import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import make_url, text

from modelyard.embedded import account
from modelyard.embedded.account import Account
from modelyard.embedded.postgres import Postgres, PostgresServer, embedded_postgres
from modelyard.embedded.shared import shared, wait_until
from modelyard.errors import BadInput, StepFailed
from modelyard.settings import child_environment
from modelyard.stores.database import make_engine
from tests.integration.users import processes_of, starting_user_of, user_of, wait_until_nothing_runs

ROOT = os.geteuid() == 0
END_SECONDS = 10


@pytest.fixture(scope="module")
def kept_home() -> Iterator[Path]:
    """A home for all tests; making a new one takes seconds."""
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        yield Path(folder).resolve()


@pytest.fixture
def home(kept_home: Path) -> Iterator[Path]:
    """The home, which each test leaves with its server stopped: a guard may need a moment for that."""
    yield kept_home
    wait_until_nothing_runs(kept_home)


@pytest.fixture
def new_home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        yield Path(folder).resolve()


def ask(url: str, statement: str) -> Any:
    engine = make_engine(url)
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else None
    finally:
        engine.dispose()


def postmaster(home: Path) -> psutil.Process:
    return psutil.Process(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]))


def guards(home: Path) -> list[psutil.Process]:
    commands = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [
        process for process, command in commands if "modelyard.embedded.watchdog" in command and str(home) in command
    ]


def has_ended(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_it_is_there_while_it_is_used_and_keeps_what_it_was_given(home: Path) -> None:
    assert not PostgresServer(home).is_running()
    with embedded_postgres(home) as postgres:
        ask(postgres.url("raw_data"), "create table loans as select 7 as id")
        assert PostgresServer(home).is_running()
    wait_until_nothing_runs(home)
    with embedded_postgres(home) as postgres:
        assert ask(postgres.url("raw_data"), "select id from loans") == 7


def test_it_is_safe_against_a_power_cut_and_closed_to_the_network(home: Path) -> None:
    with embedded_postgres(home) as postgres:
        assert ask(postgres.admin_url, "show fsync") == "on"
        assert ask(postgres.admin_url, "show synchronous_commit") == "on"
        listening = [c for c in postmaster(home).net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert listening == []
        assert stat.S_IMODE(postgres.socket.stat().st_mode) == 0o700


def test_the_last_of_two_processes_stops_it(home: Path) -> None:
    with user_of(home) as first, user_of(home) as second:
        assert first.address == second.address
        first.leave()
        assert ask(second.address, "select 1") == 1
        second.leave()
        wait_until_nothing_runs(home)


def test_it_is_shared_within_a_process(home: Path) -> None:
    with embedded_postgres(home) as postgres:
        with embedded_postgres(home) as same:
            assert same == postgres
        assert ask(postgres.admin_url, "select 1") == 1
    wait_until_nothing_runs(home)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_stays_when_the_last_user_is_killed(home: Path, how: signal.Signals) -> None:
    with user_of(home) as user:
        user.process.send_signal(how)
        user.process.wait()
        wait_until_nothing_runs(home)


def test_a_killed_user_takes_it_from_nobody_else(home: Path) -> None:
    with embedded_postgres(home) as postgres, user_of(home) as user:
        user.process.kill()
        user.process.wait()
        assert ask(postgres.admin_url, "select pg_sleep(1) is not null") is True


def test_what_killed_users_left_without_a_guard_is_taken_over(home: Path) -> None:
    with user_of(home) as user:
        killed = guards(home)
        for guard in killed:
            guard.kill()
        # Until it has ended, its lock says that there is a guard.
        assert wait_until(lambda: all(map(has_ended, killed)), END_SECONDS)
        user.process.kill()
        user.process.wait()
        left = postmaster(home)
        with embedded_postgres(home):
            assert postmaster(home) == left
            assert len(guards(home)) == 1
    assert processes_of(home) == []


def test_ctrl_c_ends_the_user_and_not_the_server_in_mid_write(home: Path) -> None:
    with embedded_postgres(home) as postgres, user_of(home) as user:
        server = postmaster(home)
        os.killpg(user.process.pid, signal.SIGINT)
        user.process.wait()
        assert postmaster(home) == server
        assert ask(postgres.admin_url, "select 1") == 1


def test_data_are_kept_when_the_server_is_killed(home: Path) -> None:
    with user_of(home) as user:
        ask(user.address, "create table kept as select 7 as id")
        postmaster(home).kill()
        with embedded_postgres(home) as postgres:
            assert ask(postgres.admin_url, "select id from kept") == 7


def test_it_starts_after_everything_was_killed(home: Path) -> None:
    with user_of(home) as user:
        ask(user.address, "create table kept_too as select 7 as id")
        server = postmaster(home)
        for process in (*guards(home), server, *server.children(), psutil.Process(user.process.pid)):
            process.kill()
    with embedded_postgres(home) as postgres:
        assert ask(postgres.admin_url, "select id from kept_too") == 7


def test_the_pid_of_a_dead_server_may_be_anothers_now(home: Path) -> None:
    with embedded_postgres(home):
        pass
    (home / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getppid()}\n{home}/postgres/data\n0\n5432\n")
    with embedded_postgres(home) as postgres:
        assert ask(postgres.admin_url, "select 1") == 1


def test_a_half_made_database_is_made_again(new_home: Path) -> None:
    with starting_user_of(new_home) as process:
        while not list(new_home.glob("postgres/*/PG_VERSION")):
            assert process.poll() is None
        process.kill()
        process.wait()
        with embedded_postgres(new_home) as postgres:
            assert ask(postgres.url("raw_data"), "select current_user") == "pipeline"


@pytest.mark.long
def test_two_homes_run_at_once_whatever_their_names(home: Path, new_home: Path) -> None:
    odd = new_home / "it's 100% ü & more"
    with embedded_postgres(home) as first, embedded_postgres(odd) as second:
        ask(first.url("raw_data"), "create table here as select 1 as id")
        assert ask(second.url("raw_data"), "select to_regclass('here')") is None
        assert make_url(second.admin_url).query["host"] == str(second.socket)


def test_a_home_too_deep_for_a_socket(new_home: Path) -> None:
    deep = new_home / ("a folder with a long name " * 5)
    with embedded_postgres(deep) as postgres:
        elsewhere = postgres.socket
        assert new_home not in elsewhere.parents
        assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o700
        assert ask(postgres.url("raw_data"), "select current_user") == "pipeline"
        assert PostgresServer(deep).is_running()
    assert not elsewhere.exists()


def owners_and_modes(paths: list[Path]) -> dict[Path, tuple[int, int, int]]:
    return {path: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode) for path in paths}


def test_folders_around_it_keep_mode_and_owner(new_home: Path) -> None:
    private = new_home / "private"
    private.mkdir(mode=0o700)
    around = [private, *private.parents, *Path(sys.executable).parents, *Path(account.__file__).parents]
    before = owners_and_modes(around)
    accounts = Path("/etc/passwd").read_bytes()
    with embedded_postgres(private / "home") as postgres:
        assert ask(postgres.admin_url, "select 1") == 1
        inside = [path for path in (private / "home").rglob("*") if not path.is_socket()]
        assert {path.lstat().st_uid for path in inside} == {os.geteuid()}
    assert owners_and_modes(around) == before
    assert Path("/etc/passwd").read_bytes() == accounts


@pytest.fixture
def no_user_namespaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose security profile forbids them."""
    refusing = Account(prefix=("/bin/sh", "-c", "echo 'unshare: Operation not permitted' >&2; exit 1"))
    monkeypatch.setattr(account, "_in_namespace", lambda _: refusing)


@pytest.mark.long
@pytest.mark.skipif(not ROOT, reason="only root needs another account")
@pytest.mark.usefixtures("no_user_namespaces")
def test_root_without_user_namespaces_runs_it_as_nobody(new_home: Path) -> None:
    new_home.chmod(0o755)
    state = new_home / ("as nobody " * 12)
    around = [new_home, *new_home.parents]
    before = owners_and_modes(around)
    with embedded_postgres(state) as postgres:
        assert postmaster(state).username() == "nobody"
        ask(postgres.url("raw_data"), "create table loans as select 7 as id")
    with embedded_postgres(state) as postgres:
        assert ask(postgres.url("raw_data"), "select id from loans") == 7
    assert owners_and_modes(around) == before
    assert processes_of(state) == []
    assert not postgres.socket.exists()


@pytest.mark.long
@pytest.mark.skipif(not ROOT, reason="only root needs another account")
def test_what_nobody_made_is_used_where_user_namespaces_exist(new_home: Path) -> None:
    new_home.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account, "_in_namespace", lambda _: Account(prefix=("/bin/false",)))
        with embedded_postgres(new_home / "state") as postgres:
            ask(postgres.url("raw_data"), "create table loans as select 7 as id")
    with embedded_postgres(new_home / "state") as postgres:
        assert ask(postgres.url("raw_data"), "select id from loans") == 7


@pytest.mark.skipif(not ROOT, reason="only root needs another account")
@pytest.mark.usefixtures("no_user_namespaces")
def test_root_is_told_which_folder_is_in_the_way(new_home: Path) -> None:
    with (
        pytest.raises(BadInput, match=f"may not enter {new_home}: run this as an ordinary user, or"),
        embedded_postgres(new_home / "state"),
    ):
        pass
    assert stat.S_IMODE(new_home.stat().st_mode) == 0o700
    assert processes_of(new_home) == []


@pytest.mark.long
def test_a_database_of_another_version_is_a_sentence(new_home: Path) -> None:
    with embedded_postgres(new_home):
        pass
    (new_home / "postgres" / "data" / "PG_VERSION").write_text("9.6\n")
    with (
        pytest.raises(StepFailed, match=r"does not start: .*incompatible.*version 9\.6.*postgres\.log"),
        embedded_postgres(new_home),
    ):
        pass
    assert processes_of(new_home) == []


def test_a_home_that_cannot_be_made_is_a_sentence(new_home: Path) -> None:
    (new_home / "file").write_text("")
    with pytest.raises(BadInput, match="cannot hold Modelyard's state"), embedded_postgres(new_home / "file"):
        pass


@pytest.mark.long
def test_two_migrate_at_once(new_home: Path) -> None:
    server = PostgresServer(new_home)
    migrating = "import sys; from modelyard.stores.migrate import migrate; print(len(migrate(sys.argv[1])))"
    with shared(server, new_home):
        postgres = Postgres(server.socket)
        command = [sys.executable, "-c", migrating, postgres.admin_url]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        done = [process.communicate()[0].strip() for process in both]
        assert [process.returncode for process in both] == [0, 0]
        files = ask(postgres.url("raw_data", "postgres"), "select count(*) from schema_migrations")
        files_too = ask(postgres.url("clean_data", "postgres"), "select count(*) from schema_migrations")
        assert sorted(done) == ["0", str(files + files_too)]


BROUGHT_ALONG = {
    "PGSSLMODE": "verify-full",
    "PGSERVICE": "nowhere",
    "PGOPTIONS": "-c default_transaction_read_only=on",
    "PGHOSTADDR": "192.0.2.1",
    "PGREQUIREAUTH": "scram-sha-256",
    "PGCLIENTENCODING": "latin1",
}


def test_it_is_asked_with_its_own_settings_only(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BROUGHT_ALONG.items():
        monkeypatch.setenv(name, value)
    with embedded_postgres(home) as postgres:
        ask(postgres.url("raw_data"), "create table if not exists brought (note text)")
        ask(postgres.url("raw_data"), "insert into brought values ('é')")
        assert ask(postgres.url("raw_data"), "select note from brought") == "é"
        assert not BROUGHT_ALONG.keys() & os.environ.keys()


IN_A_SMALL_DISK = 'mount -t tmpfs -o size=8m tmpfs "$0" && exec "$@"'


def on_a_small_disk(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command that sees a disk of 8 MB at the folder, in a mount namespace of its own."""
    namespace = ["unshare", "--mount"] if ROOT else ["unshare", "--user", "--map-root-user", "--mount"]
    whole = [*namespace, "sh", "-c", IN_A_SMALL_DISK, str(folder), *command]
    return subprocess.run(whole, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["status", "demo", "up-local", "load --use-case iris"])
def test_a_disk_that_is_full_at_the_first_start_is_a_sentence(
    new_home: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if on_a_small_disk(new_home, "true").returncode:
        pytest.skip("no disk can be mounted here")
    monkeypatch.setenv("MODELYARD_HOME", str(new_home / "home"))
    done = on_a_small_disk(new_home, str(Path(sys.executable).with_name("modelyard")), *command.split())
    if command == "status":
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert done.returncode == 1, done.stderr
    assert f"error: no space left in {new_home / 'home'}: " in done.stderr
    assert "Traceback" not in done.stderr
    assert processes_of(new_home) == []


def test_a_home_of_any_letters_works_in_a_shell_without_them(new_home: Path) -> None:
    home = new_home / "zuhause é"
    ascii_only = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C", "MODELYARD_HOME": str(home)}
    program = str(Path(sys.executable).with_name("modelyard"))
    environment = child_environment(ascii_only)
    for arguments in (["load", "--use-case", "iris"], ["status"], ["status", "--json"]):
        done = subprocess.run([program, *arguments], check=False, capture_output=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["home"] == str(home)

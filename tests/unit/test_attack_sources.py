"""What whoever may start a run in Airflow tries as the source: it is refused, or read as far as it may be."""

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from modelyard.errors import BadInput, ModelyardError
from modelyard.settings import Settings
from modelyard.sources.allowed import AllowedSources
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import content_hash, opened
from modelyard.sources.granted import FOLDER, granted
from modelyard.sources.reach import Reach
from modelyard.sources.web import is_public
from modelyard.steps.load import sources_of_runs
from modelyard.use_cases.iris import USE_CASE as IRIS
from tests.shops import shops
from tests.web_server import TEXT, Server, serving

SECRET = b"root:$6$secret:19000:0:99999:7:::\n"
MEGABYTE = 1024**2


@pytest.fixture
def start() -> Iterator[Callable[[], Server]]:
    """Starts a web server."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(serving())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_bytes(TEXT)
    (tmp_path / "secret.csv").write_bytes(SECRET)
    return folder


def allowed(*roots: object, limit_bytes: int = 10 * MEGABYTE) -> AllowedSources:
    return AllowedSources([str(root) for root in roots], limit_bytes)


def read(source: object, reach: Reach) -> bytes:
    with opened(str(source), reach) as content:
        return content.read(MEGABYTE)


def test_what_lies_in_an_allowed_folder_is_read_and_nothing_beside_it(data: Path, tmp_path: Path) -> None:
    reach = allowed(data)
    assert read(data / "a.csv", reach) == TEXT
    (data.parent / "data2").mkdir()
    (data.parent / "data2" / "a.csv").write_bytes(SECRET)
    for source in (
        "/etc/shadow",
        "/etc/hostname",
        f"{data}/../secret.csv",
        f"{data}/none/../../secret.csv",
        f"{data}2/a.csv",
        f"simplecache::{data}/a.csv",
        "/proc/self/environ",
        f"/proc/self/root{tmp_path}/secret.csv",
        "/none",
    ):
        with pytest.raises(BadInput, match="is not among the sources that a run may choose"):
            read(source, reach)


@pytest.mark.parametrize(
    "source",
    [
        "file:///etc/shadow",
        "file:/etc/shadow",
        "local:///etc/shadow",
        "FILE:///etc/shadow",
        "memory://a.csv",
        "filecache::file:///etc/shadow",
        "filecache::https://example.org/a.csv",
        "simplecache::/etc/shadow",
        "blockcache::s3://data/a.csv",
        "zip://a.csv::https://example.org/a.zip",
        "zip://a.csv::/etc/shadow",
        "dir::file:///etc",
        "dir://shadow::file:///etc",
        "reference://a::/etc/shadow",
        "ftp://10.0.0.5/a.csv",
        "sftp://10.0.0.5/a.csv",
        "ssh://10.0.0.5/a.csv",
        "smb://10.0.0.5/share/a.csv",
        "github://someone:something@/a.csv",
        "git:///etc:shadow",
        "data:text/csv,id%0A1",
        "hdfs://namenode/a.csv",
        "gs://bucket/a.csv",
        "http://example.org/a.csv",
        "HTTPS://example.org/a.csv",
        "https://user@example.org/a.csv",
        "https://user:password@example.org/a.csv",
        "s3://mlflow/artifacts/model.onnx",
        "s3://data2/a.csv",
        "s3://data/../mlflow/artifacts/model.onnx",
        "s3://arn:aws:s3:us-east-1:1:accesspoint/a/b.csv",
    ],
)
def test_another_protocol_is_refused_and_so_is_one_behind_another(source: str, data: Path) -> None:
    reach = allowed(data, "s3://data", "https://")
    with pytest.raises(BadInput, match="is not among the sources that a run may choose"):
        reach.locate(source)


def test_a_bucket_that_is_allowed_is_allowed_and_so_are_the_bundled_data_sets(data: Path) -> None:
    assert allowed("s3://data").locate("s3://data/accepted/x").path == "data/accepted/x"
    assert read("sklearn://iris", allowed(data)).startswith(b",sepal length")


def test_a_link_that_leads_out_is_not_followed(data: Path, tmp_path: Path) -> None:
    (data / "link.csv").symlink_to(tmp_path / "secret.csv")
    (data / "folder").symlink_to(tmp_path)
    (data / "own.csv").symlink_to(data / "a.csv")
    for source in (data / "link.csv", data / "folder" / "secret.csv"):
        with pytest.raises(BadInput, match="is not among the sources"):
            read(source, allowed(data))
    assert read(data / "own.csv", allowed(data)) == TEXT


@pytest.mark.parametrize("part", ["a.csv", "folder"])
def test_a_link_that_is_put_there_after_the_check_is_not_followed(data: Path, tmp_path: Path, part: str) -> None:
    (data / "folder").mkdir()
    (data / "folder" / "secret.csv").write_bytes(TEXT)
    place = allowed(data).locate(str(data / ("a.csv" if part == "a.csv" else "folder/secret.csv")))
    (data / part).rename(tmp_path / "moved")
    (data / part).symlink_to(tmp_path / "secret.csv" if part == "a.csv" else tmp_path)
    with pytest.raises(OSError, match=r"symbolic links|Not a directory"):
        place.open()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_and_a_device_are_not_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "a.csv")
    with pytest.raises(BadInput, match="is no regular file but a pipe, a device or the like"):
        content_hash(str(tmp_path / "a.csv"))


def test_a_server_that_is_not_public_is_not_asked(start: Callable[[], Server]) -> None:
    server = start()
    port = server.server_port
    for host in (
        "127.0.0.1",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",  # noqa: S104 (asked for, not bound)
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
    ):
        with pytest.raises(BadInput, match="is in no public network"):
            read(f"http://{host}:{port}/a.csv", allowed("http://", "https://"))
    assert server.asked == []


def test_a_redirect_is_checked_as_what_was_asked_for_first(start: Callable[[], Server]) -> None:
    server, inside = start(), start()
    reach = allowed(f"{server.url}/")
    assert read(f"{server.url}/a.csv", reach) == TEXT
    assert read(f"{server.url}/to//b.csv", reach) == TEXT
    inside.asked.clear()
    localhost = f"http://localhost:{inside.server_port}/latest/meta-data"
    for target in (f"{inside.url}/a.csv", localhost, "http://169.254.169.254/latest/meta-data", "file:///etc/shadow"):
        with pytest.raises(ModelyardError):
            read(f"{server.url}/to/{target}", reach)
    # The first redirect is allowed, and leads on to a name that stands for this machine.
    with pytest.raises(BadInput, match="localhost is in no public network"):
        read(f"{server.url}/to/{localhost}", allowed(f"{server.url}/", "http://"))
    assert inside.asked == []


def test_of_a_host_that_is_named_only_what_is_named_is_read(start: Callable[[], Server]) -> None:
    server = start()
    reach = allowed(f"{server.url}/data/", "http://", "https://")
    assert read(f"{server.url}/data/a.csv", reach) == TEXT
    server.asked.clear()
    for path in ("a.csv", "database/a.csv", "data/../a.csv", "data/%2e%2e/a.csv", "data/..%2fa.csv"):
        with pytest.raises(BadInput, match="is not among the sources"):
            read(f"{server.url}/{path}", reach)
    assert server.asked == []


def test_no_proxy_of_the_environment_is_used(start: Callable[[], Server], monkeypatch: pytest.MonkeyPatch) -> None:
    server, proxy = start(), start()
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    assert read(f"{server.url}/a.csv", allowed(server.url)) == TEXT
    assert proxy.asked == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("10.1.2.3", False),
        ("172.18.0.2", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:db8::1", False),
        ("no address", False),
    ],
)
def test_an_address_is_public_or_it_is_not(address: str, public: bool) -> None:
    assert is_public(address) == public


def test_what_unpacks_to_more_than_is_allowed_is_given_up(data: Path) -> None:
    with gzip.open(data / "bomb.csv.gz", "wb") as bomb:
        for _ in range(40):
            bomb.write(bytes(MEGABYTE))
    with pytest.raises(BadInput, match=r"bomb.csv.gz holds more than 10 MB \(SOURCES_LIMIT_MB\)"):
        content_hash(str(data / "bomb.csv.gz"), allowed(data))


def test_a_server_that_never_ends_its_answer_is_given_up(start: Callable[[], Server]) -> None:
    server = start()
    with pytest.raises(BadInput, match="holds more than 10 MB"):
        content_hash(f"{server.url}/endless.csv", allowed(server.url))


def test_by_default_the_data_folder_is_allowed_and_the_use_cases_own_source(data: Path, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_url=str(data), modelyard_home=tmp_path / "home")
    own = tmp_path / "secret.csv"
    reach = sources_of_runs(settings, IRIS.model_copy(update={"source": str(own)}))
    assert read(data / "a.csv", reach) == TEXT
    assert read(own, reach) == SECRET
    with pytest.raises(BadInput, match="is not among the sources"):
        read(own, sources_of_runs(settings, IRIS))
    for source in ("http://example.org/a.csv", "s3://data/a.csv", "/etc/hostname"):
        with pytest.raises(BadInput, match="is not among the sources"):
            reach.locate(source)


def test_what_a_person_grants_is_allowed_as_long_as_she_waits_for_it(data: Path, tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_url=str(data), modelyard_home=tmp_path / "home")
    own = tmp_path / "secret.csv"
    with granted(settings.home, str(own)):
        assert read(own, sources_of_runs(settings, IRIS)) == SECRET
        with pytest.raises(BadInput, match="is not among the sources"):
            read("/etc/hostname", sources_of_runs(settings, IRIS))
    # As one that was killed leaves it.
    (settings.home / FOLDER / "left").write_text(str(own))
    with pytest.raises(BadInput, match="is not among the sources"):
        read(own, sources_of_runs(settings, IRIS))


@pytest.mark.parametrize("first", [SECRET, b"user=admin,password=hidden\n", b"{'secret': 1, 'other': 2}\n"])
def test_a_first_line_that_names_no_field_is_not_shown(tmp_path: Path, first: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(first)
    with opened(str(tmp_path / "a.csv")) as content, pytest.raises(BadInput) as caught:
        CsvFile(content, shops())
    said = str(caught.value).removeprefix(str(tmp_path))
    assert "names none of the columns" in said
    assert not [word for word in ("root", "secret", "admin", "hidden") if word in said]

"""Opening files: plain and compressed ones, here and on a server, and what is said of those that cannot be read."""

import bz2
import gzip
import hashlib
import lzma
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from modelyard.errors import BadInput, ModelyardError, ServiceUnavailable
from modelyard.sources.files import content_hash, copy_content, opened
from modelyard.sources.locate import resolve

TEXT = b"id,age\n" + b"1,2\n" * 1000


@pytest.mark.parametrize(
    ("source", "data_url", "where"),
    [
        ("loan.csv", "data", "data/loan.csv"),
        ("a/b.csv", "/srv/data/", "/srv/data/a/b.csv"),
        ("loan.csv", "s3://data", "s3://data/loan.csv"),
        ("/tmp/loan.csv", "s3://data", "/tmp/loan.csv"),  # noqa: S108
        ("https://host/loan.csv", "data", "https://host/loan.csv"),
    ],
)
def test_a_source_is_below_the_data_folder_unless_it_says_otherwise(source: str, data_url: str, where: str) -> None:
    assert resolve(source, data_url) == where


@pytest.mark.parametrize(
    ("name", "compress"),
    [("a.csv", bytes), ("a.csv.gz", gzip.compress), ("a.csv.bz2", bz2.compress), ("a.csv.xz", lzma.compress)],
)
def test_a_file_is_read_and_hashed_as_what_it_holds(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / name
    path.write_bytes(compress(TEXT))
    assert content_hash(str(path)) == hashlib.sha256(TEXT).hexdigest()
    with opened(str(path)) as content:
        assert content.read(6) + content.read(10**6) == TEXT
        assert content.read(1) == b""
        assert content.sha256 == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("none.csv", None, "none.csv: there is no such file"),
        ("folder.csv", "folder", "folder.csv is a folder, not a file"),
        ("a.csv.gz", TEXT, "a.csv.gz cannot be read"),
        ("a.csv.gz", gzip.compress(TEXT, mtime=0)[:20], "a.csv.gz cannot be read"),
        ("a.csv.xz", TEXT, "a.csv.xz cannot be read"),
        ("a.csv.bz2", TEXT, "a.csv.bz2 cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, data: bytes | str | None, sentence: str
) -> None:
    path = tmp_path / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    elif data:
        path.mkdir()
    with pytest.raises(BadInput, match=sentence) as raised:
        content_hash(str(path))
    assert str(path) in str(raised.value)


def test_an_unknown_kind_of_url_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"gopher://a/b.csv cannot be read: .*gopher"):
        content_hash("gopher://a/b.csv")


class Handler(SimpleHTTPRequestHandler):
    """A folder over HTTP, quietly; one path always fails."""

    def do_GET(self) -> None:
        if self.path == "/broken.csv":
            self.send_error(500)
        else:
            super().do_GET()

    do_HEAD = do_GET  # noqa: N815 (the name is the protocol's)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "a.csv").write_bytes(TEXT)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path))) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def test_a_file_on_a_web_server_is_read(server: str) -> None:
    assert content_hash(f"{server}/a.csv") == hashlib.sha256(TEXT).hexdigest()


@pytest.mark.parametrize(
    ("path", "kind", "sentence"),
    [
        ("none.csv", BadInput, "there is no such file"),
        ("broken.csv", ServiceUnavailable, "cannot be read, its server does not answer as it should"),
    ],
)
def test_a_file_that_a_web_server_does_not_give_is_named(
    server: str, path: str, kind: type[ModelyardError], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence) as raised:
        content_hash(f"{server}/{path}")
    assert f"{server}/{path}" in str(raised.value)


def test_a_web_server_that_is_not_there_is_named(server: str) -> None:
    gone = server.rpartition(":")[0] + ":1"
    with pytest.raises(ServiceUnavailable, match=f"{gone}/a.csv cannot be read"):
        content_hash(f"{gone}/a.csv")


def test_content_is_copied_once_and_only_if_it_is_what_was_read(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"id\n1\n")
    sha256 = content_hash(str(source))
    target = tmp_path / "kept" / "deep" / sha256
    assert copy_content(str(source), sha256, str(target))
    assert target.read_bytes() == b"id\n1\n"
    assert not copy_content(str(source), sha256, str(target))
    other = tmp_path / "kept" / "other"
    with pytest.raises(BadInput, match="was changed after it was read"):
        copy_content(str(source), "0" * 64, str(other))
    assert not other.exists()

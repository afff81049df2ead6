"""Folders with what is no file of theirs: links to elsewhere, devices, pipes, and files that grow meanwhile."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.admin.storage import files_to_send, mirror_use_cases
from modelyard.authoring.pictures import picture_draft_of
from modelyard.errors import BadInput
from modelyard.pictures import LARGEST_BYTES
from modelyard.sources.allowed import AllowedSources
from modelyard.sources.picture_folder import PictureFolder, read_pictures
from tests.painted import encoded, photo, weather, write_photos

LINK = "is a link, and links are not followed"
NO_FILE = "is no regular file but a pipe, a device or the like"


def read(folder: PictureFolder) -> tuple[list[str], dict[str, str], list[bytes]]:
    """The paths that were accepted, the reasons by path of the others, and what was kept."""
    kept: dict[str, bytes] = {}
    found = list(read_pictures(folder, weather(), kept.__setitem__))
    accepted = [path for records in found for path in records.accepted["photo"].to_pylist()]
    return accepted, {each.record: each.reason for records in found for each in records.rejected}, [*kept.values()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_photos(tmp_path / "photos", 1)


@pytest.fixture
def private(tmp_path: Path) -> bytes:
    """A picture that is none of the folder's."""
    content = encoded(photo(seed=99))
    (tmp_path / "private.png").write_bytes(content)
    return content


def test_a_link_is_left_out_and_said_whatever_it_leads_to(folder: Path, tmp_path: Path, private: bytes) -> None:
    (folder / "warm" / "link.png").symlink_to(tmp_path / "private.png")
    (folder / "warm" / "inside.png").symlink_to(folder / "warm" / "0000.png")
    (folder / "warm" / "zero.png").symlink_to("/dev/zero")
    (folder / "warm" / "nowhere.png").symlink_to("/none")
    (tmp_path / "warm").mkdir()
    (tmp_path / "warm" / "private.png").write_bytes(private)
    (folder / "cold" / "folder").symlink_to(tmp_path / "warm")
    (folder / "mild").symlink_to(tmp_path / "warm")
    listed = PictureFolder(str(folder))
    listed.content_hash()
    accepted, reasons, kept = read(listed)
    assert accepted == ["cold/0000.png", "warm/0000.png"]
    names = {"mild", "cold/folder", *(f"warm/{name}.png" for name in ("link", "inside", "zero", "nowhere"))}
    assert set(reasons) == names
    assert all(f"{path} {LINK}" in reason for path, reason in reasons.items())
    assert private not in kept


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 5))])
def test_a_pipe_and_a_device_are_left_out_and_said(folder: Path, make: Callable[[Path], None]) -> None:
    try:
        make(folder / "warm" / "odd.png")
    except PermissionError:
        pytest.skip("only root makes devices")
    listed = PictureFolder(str(folder))
    listed.content_hash()
    accepted, reasons, _ = read(listed)
    assert len(accepted) == 2
    assert NO_FILE in reasons["warm/odd.png"]


@pytest.mark.parametrize("part", ["warm/0000.png", "warm"])
def test_a_file_that_has_become_a_link_since_it_was_listed_is_not_read(
    folder: Path, tmp_path: Path, private: bytes, part: str
) -> None:
    listed = PictureFolder(str(folder))
    (folder / part).rename(tmp_path / "moved")
    (tmp_path / "0000.png").write_bytes(private)
    (folder / part).symlink_to(tmp_path / "private.png" if part.endswith(".png") else tmp_path)
    with pytest.raises(BadInput, match=r"warm/0000.png cannot be read"):
        listed.content_hash()
    with pytest.raises(BadInput, match=r"warm/0000.png cannot be read"):
        read(listed)


def test_of_a_file_that_grows_no_more_is_read_than_a_picture_may_have(folder: Path) -> None:
    listed = PictureFolder(str(folder))
    os.truncate(folder / "warm" / "0000.png", 100 * LARGEST_BYTES)
    (file,) = (each for each in listed.files if each.path == "warm/0000.png")
    assert len(listed.content(file)) == LARGEST_BYTES + 1
    accepted, reasons, _ = read(listed)
    assert accepted == ["cold/0000.png"]
    assert "at most 20 MB are read" in reasons["warm/0000.png"]


def test_whoever_starts_a_run_chooses_no_folder_beside_the_data(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "link").symlink_to(folder)
    reach = AllowedSources([str(data)], 10**9)
    for source in (folder, data / "link", data / ".." / "photos"):
        with pytest.raises(BadInput, match="is not among the sources"):
            PictureFolder(str(source), reach)
    folder.rename(data / "photos")
    assert len(read(PictureFolder(str(data / "photos"), reach))[0]) == 2
    with pytest.raises(BadInput, match="SOURCES_LIMIT_MB"):
        PictureFolder(str(data / "photos"), AllowedSources([str(data)], 100))


def test_pictures_are_not_looked_for_on_a_web_server() -> None:
    with pytest.raises(BadInput, match="not from a web server"):
        PictureFolder("https://example.org/photos", AllowedSources(["https://"], 10**9))


def test_a_use_case_is_proposed_without_following_links(tmp_path: Path, private: bytes) -> None:
    folder = write_photos(tmp_path / "many", 60)
    (folder / "warm" / "000.png").symlink_to(tmp_path / "private.png")
    os.mkfifo(folder / "cold" / "000.png")
    draft = picture_draft_of("photos", str(folder))
    assert len(private) > 0
    assert {LINK in reason or NO_FILE in reason for reason in draft.unusable.values()} == {True}


def test_a_link_among_the_data_is_not_sent_to_the_bucket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data = tmp_path / "data"
    (data / "own").mkdir(parents=True)
    (data / "own" / "a.csv").write_text("id\n1\n")
    (tmp_path / "private.csv").write_text("secret")
    (data / "own" / "b.csv").symlink_to(tmp_path / "private.csv")
    (data / "folder").symlink_to(tmp_path)
    os.mkfifo(data / "pipe.csv")
    assert [name for name, _ in files_to_send(data)] == ["own/a.csv"]
    assert caplog.text.count(LINK) == 2
    assert caplog.text.count(NO_FILE) == 1


def test_a_link_among_the_use_cases_is_not_brought_to_the_services(tmp_path: Path) -> None:
    folder, into = tmp_path / "use_cases", tmp_path / "into"
    folder.mkdir()
    into.mkdir()
    (folder / "one.py").write_text("1")
    (tmp_path / "private.txt").write_text("secret")
    (folder / "two.py").symlink_to(tmp_path / "private.txt")
    assert mirror_use_cases(folder, into) == ["one.py"]
    assert [file.name for file in into.iterdir()] == ["one.py"]

"""Another user of the machine looks into the folder of all local state."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.errors import BadInput
from modelyard.home import open_home


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    """That of most machines, which lets everybody read."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> set[int]:
    return {
        stat.S_IMODE(path.lstat().st_mode) & 0o077 for path in (folder, *folder.rglob("*")) if not path.is_symlink()
    }


def test_attack_a_new_home_and_what_is_written_into_it_is_its_owners_alone(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    (home / "spool").mkdir()
    (home / "spool" / "rows").write_text("what somebody asked")
    assert modes(home) == {0}


def test_attack_a_home_that_others_could_read_is_closed_with_all_that_is_in_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "scores" / "deep").mkdir(parents=True)
    (home / "scores" / "deep" / "rows.csv").write_text("what somebody asked")
    (home / "demo.json").write_text("{}")
    assert modes(home) != {0}
    open_home(home)
    assert modes(home) == {0}


def test_attack_files_outside_are_not_reached_by_a_link_in_a_home(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    home = tmp_path / "home"
    (home / "logs").mkdir(parents=True)
    (home / "logs" / "latest").symlink_to(outside)
    before = outside.stat().st_mode, (outside / "file").stat().st_mode
    open_home(home)
    assert (outside.stat().st_mode, (outside / "file").stat().st_mode) == before


def test_what_is_not_ours_in_the_folder_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "my-page").mkdir()
    open_home(tmp_path)
    assert stat.S_IMODE((tmp_path / "my-page").stat().st_mode) == 0o755


def test_a_file_in_the_place_of_a_home_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(BadInput, match="cannot hold Modelyard's state"):
        open_home(tmp_path / "home")

"""What is proposed for a folder of pictures that nobody has declared, and what is said of one that cannot be one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from modelyard.authoring.new import new_of_pictures
from modelyard.authoring.pictures import assumptions_of_pictures, doubts_of_pictures, picture_draft_of
from modelyard.catalog import find_use_case
from modelyard.contract import TaskKind
from modelyard.errors import BadInput
from modelyard.settings import Settings
from modelyard.sources.picture_folder import PictureFolder, read_pictures
from modelyard.use_case import UseCase
from tests.painted import CLASSES, photo, write_photos


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declared(folder: Path) -> UseCase:
    settings = Settings(_env_file=None, data_url="data", use_cases_path=None)
    new_of_pictures(settings, "sky", str(folder), force=True)
    return find_use_case("sky", Path("use_cases"))


def test_what_is_written_can_read_what_it_was_made_from(here: Path) -> None:
    use_case = declared(write_photos(here / "data" / "sky", 60))
    assert (use_case.kind, use_case.target.classes, use_case.extra) == (TaskKind.IMAGE, CLASSES, "tensorflow")
    assert (use_case.source, use_case.target.title) == ("sky", "Class")
    assert use_case.features[0].shape == (32, 32, 3)
    read = list(read_pictures(PictureFolder("data/sky"), use_case, lambda *_: None))
    assert sum(each.accepted.num_rows for each in read) == 120
    assert [rejection for each in read for rejection in each.rejected] == []


def test_a_folder_elsewhere_stays_there(here: Path) -> None:
    folder = write_photos(here / "elsewhere", 60)
    assert declared(folder).source == str(folder)


def test_parts_of_the_folder_are_kept(here: Path) -> None:
    folder = write_photos(write_photos(here / "data" / "sky", 60, "train"), 20, "test", seed=1)
    use_case = declared(folder)
    assert use_case.target.classes == CLASSES
    assert use_case.split.test == 0.2
    assert "40 pictures are for the test" in " ".join(assumptions_of_pictures(picture_draft_of("sky", str(folder))))


def test_grey_pictures_have_one_channel(here: Path) -> None:
    folder = write_photos(here / "sky", 60)
    for number, file in enumerate(sorted(folder.rglob("*.*"))):
        photo(seed=number).convert("L").save(file)
    assert declared(folder).features[0].shape == (32, 32, 1)


def test_what_cannot_be_used_is_said(here: Path) -> None:
    folder = write_photos(here / "sky", 60)
    (folder / "cold" / "000.jpg").write_bytes(b"no picture")
    (folder / "readme.txt").write_text("about")
    said = " ".join(doubts_of_pictures(picture_draft_of("sky", str(folder))))
    assert "cold/000.jpg is no picture in JPEG, PNG or WebP format: it is set aside." in said
    assert "1 file lies in no class's folder" in said


def test_few_pictures_get_a_larger_test_and_say_so(here: Path) -> None:
    folder = write_photos(here / "data" / "sky", 60)
    assert declared(folder).split.test == 0.4
    assert "two fifths of them are kept for the test" in " ".join(
        assumptions_of_pictures(picture_draft_of("sky", str(folder)))
    )
    declared_so = Path("use_cases/sky.py").read_text(encoding="utf-8")
    assert "# 120 pictures are few: more of them are kept for the test" in declared_so


def no_folder(_: Path) -> None:
    pass


def nothing(folder: Path) -> None:
    folder.mkdir()


def one_class(folder: Path) -> None:
    write_photos(folder, 60)
    for file in (folder / "cold").iterdir():
        file.unlink()


def few(folder: Path) -> None:
    write_photos(folder, 10)


def no_pictures(folder: Path) -> None:
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for number in range(60):
            (folder / label / f"{number}.jpg").write_text("text")


def no_test(folder: Path) -> None:
    write_photos(write_photos(folder, 60, "train"), 20, "val", seed=1000)


def a_file(folder: Path) -> None:
    folder.write_text("x")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (no_folder, "there is no such folder"),
        (nothing, "has no files in it"),
        (a_file, "is a file; pictures come as a folder"),
        (one_class, "must have a folder for each class, two at least, and has only 'warm'"),
        (few, "has 20 pictures, and a model needs 100"),
        (no_pictures, "files that were opened cannot be used"),
        (no_test, "must have folders train and test, or just one for each class, and has only train and validation"),
    ],
)
def test_what_cannot_be_a_use_case_is_a_sentence(here: Path, make: Callable[[Path], None], sentence: str) -> None:
    make(here / "sky")
    with pytest.raises(BadInput) as caught:
        declared(here / "sky")
    assert sentence in str(caught.value)
    assert not Path("use_cases").exists()

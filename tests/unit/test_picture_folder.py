from pathlib import Path

import pytest
from pydantic import ValidationError

from modelyard.errors import BadInput
from modelyard.records import Records
from modelyard.sources.picture_folder import PictureFolder, part_of, read_pictures
from modelyard.use_case import Split, UseCase
from tests.painted import BAD, CONVERTED, encoded, photo, weather, write_photos


def read(folder: Path, use_case: UseCase | None = None) -> tuple[dict[str, str], dict[str, str], dict[str, bytes]]:
    """Classes by path, reasons by path, and what was kept by its hash."""
    kept: dict[str, bytes] = {}
    found: list[Records] = list(read_pictures(PictureFolder(str(folder)), use_case or weather(), kept.__setitem__))
    rows = [row for records in found for row in records.accepted.to_pylist()]
    assert {row["record_key"] for row in rows} <= set(kept)
    reasons = {each.record: each.reason for records in found for each in records.rejected}
    return {row["photo"]: row["kind"] for row in rows}, reasons, kept


def test_the_folder_says_the_class(tmp_path: Path) -> None:
    write_photos(tmp_path, 2)
    assert read(tmp_path)[0] == {
        "cold/0000.png": "cold",
        "cold/0001.png": "cold",
        "warm/0000.png": "warm",
        "warm/0001.png": "warm",
    }


def test_the_folder_above_says_the_part(tmp_path: Path) -> None:
    write_photos(tmp_path, 1, "train")
    write_photos(tmp_path, 1, "test", seed=10)
    assert read(tmp_path)[0]["test/warm/0000.png"] == "warm"
    assert part_of("test/warm/0000.png") == "test"
    assert part_of("Train/warm/0000.png") == "train"
    assert part_of("val/warm/0000.png") == part_of("valid/warm/0000.png") == "validation"
    assert part_of("test/0000.png") is None
    assert part_of("warm/test/0000.png") is None


def test_each_bad_file_is_set_aside_with_its_reason(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    for name, (make, _) in BAD.items():
        (tmp_path / "warm" / f"{name}.jpg").write_bytes(make())
    accepted, reasons, _ = read(tmp_path)
    assert len(accepted) == 2
    assert set(reasons) == {f"warm/{name}.jpg" for name in BAD}
    for name, (_, reason) in BAD.items():
        assert reason in reasons[f"warm/{name}.jpg"], name


def test_what_can_be_converted_is_accepted_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "warm").mkdir()
    for name, make in CONVERTED.items():
        (tmp_path / "warm" / f"{name}.jpg").write_bytes(make())
    accepted, reasons, _ = read(tmp_path)
    assert len(accepted) == len(CONVERTED)
    assert reasons == {}


def test_what_lies_elsewhere_is_set_aside(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    (tmp_path / "above.png").write_bytes(encoded(photo(seed=7)))
    (tmp_path / "mild").mkdir()
    (tmp_path / "mild" / "one.png").write_bytes(encoded(photo(seed=8)))
    reasons = read(tmp_path)[1]
    assert reasons["above.png"] == "above.png lies in no class's folder; the classes are cold, warm"
    assert "lies in the folder 'mild', and the classes are cold, warm" in reasons["mild/one.png"]


def test_hidden_files_are_nobodys(tmp_path: Path) -> None:
    write_photos(tmp_path, 1)
    (tmp_path / "warm" / ".DS_Store").write_bytes(b"?")
    assert read(tmp_path)[1] == {}


def test_the_same_picture_is_one_record_and_on_the_side_of_the_test(tmp_path: Path) -> None:
    write_photos(tmp_path, 1, "train")
    write_photos(tmp_path, 1, "test")
    accepted, reasons, kept = read(tmp_path)
    assert set(accepted) == {"test/cold/0000.png", "test/warm/0000.png"}
    assert reasons["train/warm/0000.png"] == "train/warm/0000.png is the same picture as test/warm/0000.png"
    assert len(kept) == 2


def test_the_hash_is_that_of_names_and_contents(tmp_path: Path) -> None:
    first = PictureFolder(str(write_photos(tmp_path / "a", 2))).content_hash()
    assert PictureFolder(str(write_photos(tmp_path / "b", 2))).content_hash() == first
    (tmp_path / "b" / "warm" / "0001.png").write_bytes(encoded(photo(seed=9)))
    assert PictureFolder(str(tmp_path / "b")).content_hash() != first
    (tmp_path / "a" / "warm" / "0001.png").rename(tmp_path / "a" / "cold" / "0002.png")
    assert PictureFolder(str(tmp_path / "a")).content_hash() != first


def test_a_picture_that_changes_meanwhile_is_noticed(tmp_path: Path) -> None:
    folder = PictureFolder(str(write_photos(tmp_path, 2)))
    folder.content_hash()
    (tmp_path / "warm" / "0001.png").write_bytes(encoded(photo(seed=9)))
    with pytest.raises(BadInput, match=r"warm/0001\.png was changed while it was read"):
        list(read_pictures(folder, weather(), lambda *_: None))


@pytest.mark.parametrize(
    ("name", "problem"),
    [("nothing", "there is no such folder"), ("empty", "has no files in it"), ("file.zip", "is a file; pictures come")],
)
def test_what_is_no_such_folder_is_named(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"PK")
    with pytest.raises(BadInput, match=problem):
        PictureFolder(str(tmp_path / name))


def test_the_path_says_whose_a_picture_is(tmp_path: Path) -> None:
    (tmp_path / "warm").mkdir()
    for number, name in enumerate(
        ("P1_2026-03-01.png", "P2_2026-03-02.png", "nobody.png", "P3_2026-13-01.png", "P4_9999-12-31.png")
    ):
        (tmp_path / "warm" / name).write_bytes(encoded(photo(seed=number)))
    split = Split(
        by="patient",
        time="taken_on",
        validation="1d",
        test="1d",
        path=r"(?P<patient>P\d+)_(?P<taken_on>[-\d]+)",
    )
    use_case = weather().model_copy(update={"split": split})
    [records] = read_pictures(PictureFolder(str(tmp_path)), use_case, lambda *_: None)
    assert [(row["patient"], f"{row['taken_on']:%Y-%m-%d}") for row in records.accepted.to_pylist()] == [
        ("P1", "2026-03-01"),
        ("P2", "2026-03-02"),
    ]
    assert [each.reason.split(": ")[0] for each in records.rejected] == [
        "warm/P3_2026-13-01.png has '2026-13-01' in its path, which is no date or time in ISO 8601",
        "warm/P4_9999-12-31.png has '9999-12-31' in its path, which is ten years ahead or more",
        "warm/nobody.png has no patient in its path",
    ]


def test_pictures_have_no_columns_to_be_split_by() -> None:
    declared = weather().model_dump(exclude={"split"}) | {"split": Split(by="patient")}
    with pytest.raises(ValidationError, match="the split's path says where it is found"):
        UseCase.model_validate(declared)

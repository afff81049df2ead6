from pathlib import Path

import numpy as np
from PIL import Image

from data import make_skin_cancer as maker
from modelyard.catalog import find_use_case
from modelyard.sources.picture_folder import PictureFolder, read_pictures


def test_the_folder_is_what_the_script_makes(tmp_path: Path) -> None:
    maker.write_pictures(tmp_path / "again", maker.TRAIN, maker.TEST, maker.SIDE, maker.SEED)
    files = sorted(path.relative_to(maker.FOLDER) for path in maker.FOLDER.rglob("*.jpg"))
    assert files == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.jpg"))
    for file in files:
        there, again = (np.asarray(Image.open(folder / file), int) for folder in (maker.FOLDER, tmp_path / "again"))
        # Not the bytes: another version of the library may write the same picture otherwise.
        assert np.abs(there - again).max() <= 8, file


def test_its_pictures_can_be_used_and_are_enough_for_the_gate() -> None:
    use_case = find_use_case("skin_cancer")
    sample = use_case.in_profile(use_case.sample)
    found = list(read_pictures(PictureFolder(str(maker.FOLDER)), sample, lambda *_: None))
    assert not [rejection for records in found for rejection in records.rejected]
    paths = [path for records in found for path in records.accepted["image"].to_pylist()]
    assert sum(path.startswith("test/") for path in paths) >= use_case.gate.minimum_test_records

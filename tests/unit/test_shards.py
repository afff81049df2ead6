"""Arrays of pictures: in files that are neither too many nor too large."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from modelyard.steps.shards import with_arrays
from modelyard.stores.objects import ObjectStore, picture_name
from tests.painted import SHAPE, encoded, photo, pixels, weather

PICTURES = 7


@pytest.mark.parametrize(
    ("limit", "most", "expected"),
    [
        ("SHARD_PICTURES", 3, [3, 3, 1]),
        ("SHARD_BYTES", 3 * int(np.prod(SHAPE)), [3, 3, 1]),
        ("SHARD_BYTES", 1, [1] * PICTURES),
    ],
)
def test_a_file_has_so_many_pictures_and_so_many_bytes_at_the_most(
    limit: str, most: int, expected: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"modelyard.steps.shards.{limit}", most)
    objects = ObjectStore(str(tmp_path))
    for number in range(PICTURES):
        objects.put(picture_name("weather", str(number)), encoded(photo(seed=number)))
    keys = [str(number) for number in range(PICTURES)]
    columns = {"record_key": keys, "part": ["train"] * PICTURES, "photo": keys, "kind": ["warm"] * PICTURES}
    [records] = list(with_arrays(weather(), "first", iter([pa.table(columns)]), objects))
    sizes = [len(np.load(file)) for file in sorted(tmp_path.rglob("*.npy"))]
    assert sizes == expected
    with objects.arrays() as arrays:
        found = arrays.pixels(records["photo"].to_pylist())
    assert np.array_equal(found, np.stack([pixels("warm", number) for number in range(PICTURES)]))

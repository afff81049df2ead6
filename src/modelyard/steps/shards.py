"""Pictures become arrays: the pixels of a part's pictures side by side in files of some hundred, read one at a time."""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from modelyard.contract import Pixels
from modelyard.pictures import read_picture
from modelyard.stores.objects import ROW, ObjectStore, arrays_folder, picture_name
from modelyard.use_case import UseCase

if TYPE_CHECKING:
    import pyarrow as pa

# Of 224 x 224 pixels in three colours, 256 pictures are 37 MB.
SHARD_PICTURES = 256
SHARD_BYTES = 40 * 1024 * 1024
READERS = 4


def with_arrays(
    use_case: UseCase, snapshot_id: str, records: Iterator["pa.Table"], objects: ObjectStore
) -> Iterator["pa.Table"]:
    """The records of a snapshot with the key of each picture's pixels in the place of its path.

    All arrays are kept when the last records were taken.

    Args:
        use_case: Its one feature is the image.
        snapshot_id: The snapshot's id.
        records: Columns `record_key`, `part`, the image, the target.
        objects: Has the pictures, gets the arrays.
    """
    import pyarrow as pa

    shards = _Shards(use_case, snapshot_id, objects)
    name = use_case.features[0].name
    for some in records:
        places = [
            shards.place(*each) for each in zip(some["part"].to_pylist(), some["record_key"].to_pylist(), strict=True)
        ]
        yield some.set_column(some.schema.get_field_index(name), name, pa.array(places, pa.string()))
    shards.finish()


class _Shards:
    def __init__(self, use_case: UseCase, snapshot_id: str, objects: ObjectStore) -> None:
        self._shape = use_case.features[0].image_shape
        self._most = max(1, min(SHARD_PICTURES, SHARD_BYTES // math.prod(self._shape)))
        self._data_name = use_case.data_name
        self._folder = arrays_folder(use_case.data_name, snapshot_id)
        self._objects = objects
        self._waiting: dict[str, list[str]] = defaultdict(list)
        self._written: dict[str, int] = defaultdict(int)

    def place(self, part: str, sha256: str) -> str:
        """The key that a picture's pixels will have."""
        waiting = self._waiting[part]
        key = f"{self._name(part)}{ROW}{len(waiting)}"
        waiting.append(sha256)
        if len(waiting) == self._most:
            self._write(part)
        return key

    def finish(self) -> None:
        """Keeps what waits."""
        for part in [part for part, waiting in self._waiting.items() if waiting]:
            self._write(part)

    def _write(self, part: str) -> None:
        waiting = self._waiting.pop(part)
        self._objects.put_array(self._name(part), self._pixels(waiting))
        self._written[part] += 1

    def _pixels(self, pictures: Sequence[str]) -> Pixels:
        with ThreadPoolExecutor(READERS) as readers:
            return np.stack(list(readers.map(self._read, pictures)))

    def _read(self, sha256: str) -> Pixels:
        return read_picture(self._objects.get(picture_name(self._data_name, sha256)), self._shape).pixels

    def _name(self, part: str) -> str:
        return f"{self._folder}/{part}-{self._written[part]:05d}.npy"

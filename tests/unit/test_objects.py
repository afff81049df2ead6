from pathlib import Path

import fsspec
import numpy as np
import pytest

from modelyard.errors import BadInput, ServiceUnavailable, StepFailed
from modelyard.stores.objects import ObjectStore, required


@pytest.fixture(params=["folder", "afar"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return ObjectStore(str(tmp_path / "objects"))
    return ObjectStore(f"memory://{tmp_path.name}")


def test_what_is_put_is_there(objects: ObjectStore) -> None:
    assert not objects.has("a/b")
    objects.put("a/b", b"one")
    objects.put("a/b", b"two")
    assert objects.has("a/b")
    assert objects.get("a/b") == b"two"


def test_a_folder_goes_with_all_that_is_in_it(objects: ObjectStore) -> None:
    objects.put("a/b/c", b"one")
    objects.put("a/d", b"two")
    objects.remove("a/b")
    objects.remove("nothing")
    assert not objects.has("a/b/c")
    assert objects.has("a/d")


def test_pixels_come_back_by_their_keys_in_the_order_asked_for(objects: ObjectStore) -> None:
    first, second = (np.random.default_rng(n).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8) for n in range(2))
    objects.put_array("a/0.npy", first)
    objects.put_array("a/1.npy", second)
    with objects.arrays() as arrays:
        pixels = arrays.pixels(["a/1.npy#2", "a/0.npy#0", "a/1.npy#0"])
        assert np.array_equal(pixels, np.stack([second[2], first[0], second[0]]))
        assert pixels.dtype == np.uint8


def test_what_is_fetched_from_afar_goes_at_the_end(tmp_path: Path) -> None:
    objects = ObjectStore(f"memory://{tmp_path.name}")
    objects.put_array("a.npy", np.zeros((1, 2, 2, 3), dtype=np.uint8))
    with objects.arrays() as arrays:
        arrays.pixels(["a.npy#0"])
        [file] = arrays._folder.iterdir()
    assert not file.exists()


def test_an_array_of_objects_is_not_read(objects: ObjectStore, tmp_path: Path) -> None:
    np.save(tmp_path / "evil.npy", np.array([{}], dtype=object), allow_pickle=True)
    objects.put("evil.npy", (tmp_path / "evil.npy").read_bytes())
    with objects.arrays() as arrays, pytest.raises(ValueError, match=r"(pickle|Python objects)"):
        arrays.pixels(["evil.npy#0"])


def test_what_is_gone_is_named(objects: ObjectStore) -> None:
    with pytest.raises(StepFailed, match="a/b is gone: load and preprocess the use case again"):
        objects.get("a/b")


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ServiceUnavailable, match="OBJECTS_URL"):
        ObjectStore(str(tmp_path / "file" / "objects")).put("a", b"")


def test_who_needs_a_store_says_so() -> None:
    with pytest.raises(BadInput, match="set OBJECTS_URL"):
        required(None)


@pytest.fixture(autouse=True)
def _empty_memory() -> None:
    fsspec.filesystem("memory").store.clear()

"""Data sets that come with scikit-learn, as CSV files: `sklearn://iris`, `sklearn://diabetes` and the like."""

import io
from collections.abc import Callable
from typing import Any, BinaryIO

from fsspec import AbstractFileSystem

# Those that are tables; there are pictures, too, and others are fetched over the network.
TABLES = frozenset({"breast_cancer", "diabetes", "digits", "iris", "wine"})


class BundledDataSets(AbstractFileSystem):  # type: ignore[misc]
    """A data set is a file: a column without a name that counts the records, the features, then the target.

    The target of a classification is its class's name. It is only for reading, and needs no network.
    """

    protocol = "sklearn"

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """What is known of a data set.

        Raises:
            FileNotFoundError: scikit-learn brings none of that name.
        """
        name = self._strip_protocol(path)
        return {"name": name, "size": len(_csv_of(name)), "type": "file"}

    def _open(self, path: str, mode: str = "rb", **_: Any) -> BinaryIO:
        if mode != "rb":
            raise PermissionError(path)
        return io.BytesIO(_csv_of(self._strip_protocol(path)))


def _csv_of(name: str) -> bytes:
    data = _loader(name)(as_frame=True)
    names = getattr(data, "target_names", None)
    target = data.target if names is None else data.target.map(lambda index: names[index])
    text: str = data.data.assign(target=target).to_csv(lineterminator="\n")
    return text.encode()


def _loader(name: str) -> Callable[..., Any]:
    from sklearn import datasets

    if name not in TABLES:
        raise FileNotFoundError(name)
    loader: Callable[..., Any] = getattr(datasets, f"load_{name}")
    return loader

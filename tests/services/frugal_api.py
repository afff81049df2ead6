"""The API as it must be able to run: without what only training needs, and without ever unpickling.

`python -m tests.services.frugal_api` is `python -m services.api` in an environment that has less.
"""

import importlib.abc
import importlib.machinery
import pickle
import runpy
import sys
from typing import Any, NoReturn

ABSENT = (
    "joblib",
    "keras",
    "onnx",
    "pandas",
    "pyarrow",
    "scipy",
    "skl2onnx",
    "sklearn",
    "skops",
    "tensorflow",
    "torch",
)


class Absent(importlib.abc.MetaPathFinder):
    """Makes packages look as if they were not installed."""

    def find_spec(self, fullname: str, *_: Any) -> importlib.machinery.ModuleSpec | None:
        """Fails for what is absent, knows nothing else."""
        if fullname.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def refuse(*_: Any, **__: Any) -> NoReturn:
    """Stands where unpickling would begin."""
    raise AssertionError("the API has unpickled something")


def main() -> None:
    sys.meta_path.insert(0, Absent())
    for name in ("load", "loads", "Unpickler", "_Unpickler"):
        setattr(pickle, name, refuse)
    runpy.run_module("services.api", run_name="__main__")


if __name__ == "__main__":
    main()

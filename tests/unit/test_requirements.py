"""The hashed lists: one resolution, no index named, and an API without the libraries of training."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "requirements"
LISTS = sorted(path.name for path in FOLDER.glob("*.txt"))
PINNED = re.compile(r"^([a-z0-9._-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    text = (FOLDER / name).read_text(encoding="utf-8")
    return {(found[1], found[2]) for found in PINNED.finditer(text)}


@pytest.mark.parametrize("name", LISTS)
def test_every_package_has_hashes_and_no_address(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert pins(name)
    assert text.count("--hash=sha256:") >= len(pins(name))
    assert "://" not in text
    assert "index-url" not in text


@pytest.mark.parametrize("name", sorted({*LISTS} - {"all.txt", "audit.txt", "benchmarks.txt", "uv.txt"}))
def test_every_environment_has_the_versions_of_the_one_resolution(name: str) -> None:
    assert pins(name) <= pins("all.txt")


def test_the_list_of_the_long_benchmarks_adds_what_it_names_and_nothing_else() -> None:
    named = (FOLDER / "benchmarks.in").read_text(encoding="utf-8").splitlines()
    added = {f"{name}=={version}" for name, version in pins("benchmarks.txt") - pins("all.txt")}
    assert added == {line for line in named if not line.startswith("#")}


def test_the_api_has_no_library_of_training() -> None:
    names = {name for name, _ in pins("api.txt")}
    assert {"fastapi", "onnxruntime", "asyncpg"} <= names
    assert not names & {
        "pandas",
        "psycopg2-binary",
        "scikit-learn",
        "scipy",
        "tensorflow",
        "pyarrow",
        "skops",
        "mlflow",
    }

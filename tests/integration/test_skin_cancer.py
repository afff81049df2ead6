"""Skin cancer as people start it, all three networks of its sample: minutes, most of them TensorFlow's."""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
SAMPLE = REPOSITORY / "data" / "skin_cancer_sample"
# Three minutes on two cores with nothing else to do; a machine that tests has.
MOST_SECONDS = 360
REFUSED = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder:
        yield Path(folder).resolve()


def demo(home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("modelyard")), "demo", "--use-case", "skin_cancer", *arguments]
    environment = child_environment({"MODELYARD_HOME": str(home)})
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def facts(home: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((home / "demo.json").read_text())
    return found


def test_the_sample_goes_from_its_folder_to_an_answer(home: Path) -> None:
    done = demo(home)
    assert done.returncode == 0, done.stderr
    found = facts(home)
    assert (found["verdict"], found["model_version"]) == ("promoted", 1)
    assert found["metrics"]["roc_auc"] > 0.8
    assert found["rows"] == {"raw": 480, "rejected": 0, "clean": 480, "predictions": 1}
    assert found["seconds"]["total"] < MOST_SECONDS


def test_with_shuffled_labels_it_is_refused(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shuffled"
    shutil.copytree(SAMPLE, folder)
    files = sorted(folder.rglob("*.jpg"))
    contents = [file.read_bytes() for file in files]
    random.Random(0).shuffle(contents)
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    done = demo(home, "--profile", "sample", "--source", str(folder))
    assert done.returncode == REFUSED, done.stderr
    assert facts(home)["verdict"] == "refused"
    assert "does not beat a dummy beyond chance" in done.stdout

"""Skin cancer as people start it, and with the original's parameters: minutes, most of them TensorFlow's."""

import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.make_skin_cancer import lesion_picture
from modelyard.catalog import find_use_case
from modelyard.contract import Pixels
from modelyard.models.images.fit import fit_pictures
from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
SAMPLE = REPOSITORY / "data" / "skin_cancer_sample"
REFUSED = 3
# Of the pictures that the original's networks see.
SIDE = 224

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


class Painted:
    """Pictures of lesions by keys such as `benign:7`."""

    def pixels(self, keys: Sequence[str]) -> Pixels:
        pairs = (key.split(":") for key in keys)
        randoms = ((label, np.random.default_rng(int(seed)).random) for label, seed in pairs)
        return np.stack([lesion_picture(label, SIDE, random) for label, random in randoms])


@pytest.mark.parametrize("name", ["basic", "resnet50"])
def test_the_originals_parameters_make_a_network_of_224_pixels(name: str) -> None:
    use_case = find_use_case("skin_cancer")
    candidate = use_case.candidate(name)
    candidate = candidate.model_copy(update={"parameters": {**candidate.parameters, "epochs": 1}})
    frames = {}
    for number, (part, count) in enumerate({"train": 24, "validation": 8, "test": 16}.items()):
        labels = [use_case.target.classes[index % 2] for index in range(count)]
        keys = [f"{label}:{1000 * number + index}" for index, label in enumerate(labels)]
        frames[part] = pd.DataFrame({"image": keys, "diagnosis": labels}, index=pd.Index(keys, name="record_key"))
    fitted = fit_pictures(use_case, candidate, frames, Painted())
    assert fitted.contract.features[0].shape == (SIDE, SIDE, 3)
    assert fitted.history["learning_rate"] == pytest.approx((1e-5,))
    assert fitted.agreement.holds, str(fitted.agreement)

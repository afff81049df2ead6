"""Graphs and files made to harm whoever loads them, in the process that tries them."""

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from modelyard.errors import UnusableModel
from modelyard.models.onnx.compiled import MODEL_FILE
from modelyard.models.onnx.isolation import Limits, run_apart
from modelyard.models.onnx.verification import load_checked
from tests.services.made_attacks import (
    MANY_ROUNDS,
    add_nodes,
    large_array,
    make_endless,
)
from tests.services.made_models import LOAN_RECORD, loan_contract, slow_detour, write_package

PATIENT = Limits(memory_bytes=2**30, processor_seconds=60, seconds=120)


def test_a_model_that_takes_all_memory_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD])
    add_nodes(tmp_path / MODEL_FILE, large_array(64))
    with pytest.raises(UnusableModel, match=r"allocate|memory"):
        load_checked(tmp_path, "loan_approval")


def spend_processor_time() -> None:
    """Never ends."""
    while True:
        pass


def wait() -> None:
    """Never ends, and computes nothing."""
    time.sleep(3600)


def take_memory() -> None:
    """Takes more than there may be."""
    bytearray(2**40)


def crash() -> None:
    """Ends as a library with a fault does."""
    os.abort()


def write_much(path: str) -> None:
    """Fills the disk."""
    with Path(path).open("wb") as file:
        while True:
            file.write(b"x" * 2**20)


def tell_environment() -> None:
    """Says what it has been given."""
    raise UnusableModel(" ".join(f"{name}={value}" for name, value in os.environ.items()))


def fail_in_its_own_way() -> None:
    """Fails with a long story."""
    raise RuntimeError("the first line" + "\nmore" * 1000)


@pytest.mark.parametrize(
    ("task", "changes", "said"),
    [
        ("spend_processor_time", {"processor_seconds": 1}, "it was not done after 1 s of computing"),
        ("wait", {"seconds": 2.0}, "it was not done after 2 s"),
        ("take_memory", {}, "it needs more than 1024 MB of memory"),
        ("crash", {}, "was ended by SIGABRT"),
        ("fail_in_its_own_way", {}, "RuntimeError: the first line"),
    ],
)
def test_what_is_run_apart_ends_with_a_sentence(task: str, changes: dict[str, Any], said: str) -> None:
    children = psutil.Process().children(recursive=True)
    with pytest.raises(UnusableModel, match=said) as ended:
        run_apart(f"tests.integration.test_attack_apart:{task}", [], PATIENT._replace(**changes))
    assert "\n" not in str(ended.value)
    assert psutil.Process().children(recursive=True) == children


def test_what_is_run_apart_fills_no_disk(tmp_path: Path) -> None:
    with pytest.raises(UnusableModel):
        run_apart("tests.integration.test_attack_apart:write_much", [str(tmp_path / "much")], PATIENT)
    assert (tmp_path / "much").stat().st_size <= PATIENT.file_bytes


def test_what_is_run_apart_has_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAW_DATABASE_URL", "API_KEYS", "AWS_SECRET_ACCESS_KEY", "SOMETHING_NEW"):
        monkeypatch.setenv(name, "postgresql://api:secret@postgres/raw_data")
    with pytest.raises(UnusableModel) as told:
        run_apart("tests.integration.test_attack_apart:tell_environment", [], PATIENT)
    assert "PATH=" in str(told.value)
    assert "secret" not in str(told.value)


def test_a_model_that_never_ends_is_refused(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD], detour=slow_detour(MANY_ROUNDS, side=8))
    make_endless(tmp_path / MODEL_FILE)
    limits = Limits(memory_bytes=4 * 2**30, processor_seconds=2, seconds=60)
    with pytest.raises(UnusableModel, match="it was not done after 2 s of computing"):
        run_apart("modelyard.models.onnx.verification:try_model", [str(tmp_path), "loan_approval"], limits)

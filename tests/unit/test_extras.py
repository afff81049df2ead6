import subprocess
import sys

import pytest

from modelyard.catalog import find_use_case, read_catalog
from modelyard.errors import BadInput
from modelyard.steps import extras
from modelyard.steps.extras import check_extra, missing_of

LIBRARIES = ("tensorflow", "keras", "tf2onnx")


def test_what_is_installed_is_not_missing() -> None:
    assert missing_of("tensorflow") == []
    check_extra(find_use_case("skin_cancer"))


def test_what_is_missing_is_named_with_the_command_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['no-such-library>=1; extra == "tensorflow"', "numpy>=2", 'other; extra == "api"']
    monkeypatch.setattr(extras, "requires", lambda _: lines)
    with pytest.raises(BadInput, match="the extra tensorflow, and no-such-library cannot be found here: run `make"):
        check_extra(find_use_case("skin_cancer"))


def test_who_needs_nothing_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "requires", lambda _: pytest.fail("asked"))
    check_extra(find_use_case("loan_approval"))


def test_only_training_of_pictures_loads_tensorflow() -> None:
    modules = [
        "dags.use_cases",
        "modelyard.cli",
        "modelyard.models.fit",
        "modelyard.models.evaluation.gate",
        "modelyard.models.inputs",
        "modelyard.pictures",
        "modelyard.steps.compare",
        "modelyard.steps.deploy",
        "modelyard.steps.load",
        "modelyard.steps.preprocess",
        "modelyard.steps.promote",
        "modelyard.steps.shards",
        "modelyard.steps.train",
        "services.api.app",
        "services.api.inputs.image",
    ]
    read_catalog()
    check = f"import sys, {', '.join(modules)}; print([m for m in {LIBRARIES!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stdout + done.stderr

"""What is loaded, in a process of its own: each of these libraries takes seconds."""

import subprocess
import sys

from modelyard.catalog import read_catalog


def test_finding_use_cases_loads_no_library_of_models_or_frames() -> None:
    heavy = ("pandas", "sklearn", "mlflow", "onnxruntime", "pyarrow", "sqlalchemy")
    code = (
        "import sys; from modelyard.catalog import read_catalog; read_catalog();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


LIBRARIES = ("tensorflow", "keras", "tf2onnx")


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

"""The how-to for a use case of one's own, followed to the letter: every command in it is run, in its order."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.embedded.processes import free_ports
from modelyard.settings import child_environment
from tests.how_to import HOW_TO, blocks

REPOSITORY = Path(__file__).parents[2]
PORTS = {"AIRFLOW_PORT": 8080, "MLFLOW_PORT": 8083, "JUPYTER_PORT": 8085, "API_PORT": 8086, "FRONTEND_PORT": 8501}
OWN = {"data", "use_cases", ".modelyard", ".git"}

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture
def clone() -> Iterator[Path]:
    """This folder as somebody finds it who has just cloned it, but for the environment."""
    # Nothing of it may be left to install from the clone: it would be that of a folder that goes away.
    run("make .venv/.local", REPOSITORY, {})
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as name:  # short, for the database's socket
        folder = Path(name)
        for entry in REPOSITORY.iterdir():
            if entry.name not in OWN:
                (folder / entry.name).symlink_to(entry)
        shutil.copytree(REPOSITORY / "data", folder / "data", ignore=shutil.ignore_patterns("own", "raw"))
        (folder / "use_cases").mkdir()
        yield folder
        run("make down-local", folder, {})


def run(block: str, clone: Path, ports: dict[str, int]) -> str:
    """What the commands of a block say, typed by somebody who has set nothing, on ports that are free."""
    nothing = {"USE_CASES_PATH": "", "DATA_URL": "", "SCHEDULES_ENABLED": "false"}
    changes = nothing | {"MODELYARD_HOME": str(clone / ".modelyard")} | {name: str(ports[name]) for name in ports}
    for name, number in ports.items():
        block = block.replace(f":{PORTS[name]}", f":{number}")
    command = ["/bin/bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(
        command, cwd=clone, env=child_environment(changes), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_every_command_of_the_how_to_does_what_it_says(clone: Path) -> None:
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    said = "\n".join(run(block, clone, ports) for block in blocks())
    assert "use_cases/churn.py: one of two classes from 6 features, made from 3000 records" in said
    assert "gate: version 1 promoted" in said
    assert '"prediction":"yes"' in said
    assert "4000 rows: 1000 added" in said
    assert "gate: version 2" in said
    written = (clone / "use_cases" / "churn.py").read_text(encoding="utf-8")
    shown = re.findall(r"```\n( {8}# Seen.*?)```", HOW_TO, re.DOTALL)
    assert shown
    assert all(block in written for block in shown)

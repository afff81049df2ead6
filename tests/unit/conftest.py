"""Unit tests need nothing but their own process: so they take seconds, and no environment with TensorFlow."""

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
OURS = tuple(str(REPOSITORY / name) for name in ("data", "docker", "scripts", "services", "src", "tests"))
STANDARD_LIBRARY = sysconfig.get_path("stdlib")
STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
SERVERS = {"postgres", "tracking_uri"}
_runs_unit_tests = False


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if _runs_unit_tests and event in STARTS and _starter().startswith(OURS):
        pytest.fail(f"a unit test starts no process ({event}): what does belongs into tests/integration")


def _starter() -> str:
    """The file of the code that starts it. A library may do so to see where it runs, as matplotlib does for fonts."""
    files = (frame.f_code.co_filename for frame, _ in traceback.walk_stack(None))
    return next((file for file in files if file != __file__ and not file.startswith((STANDARD_LIBRARY, "<"))), "")


# It stays as long as Python runs, also where the tests of other folders follow.
sys.addaudithook(_refuse)


@pytest.fixture(scope="module", autouse=True)
def own_process() -> Iterator[None]:
    """Fails a test of this folder that starts another process."""
    global _runs_unit_tests  # noqa: PLW0603 (a hook has no other state)
    _runs_unit_tests = True
    yield
    _runs_unit_tests = False


@pytest.fixture(autouse=True)
def no_server(request: pytest.FixtureRequest) -> None:
    """Fails a test of this folder that asks for a server."""
    assert not SERVERS & set(request.fixturenames), (
        "a unit test needs no server: what does belongs into tests/integration"
    )

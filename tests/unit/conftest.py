"""Unit tests need nothing but their own process: so they take seconds, and no environment with TensorFlow."""

import sys
from collections.abc import Iterator
from typing import Any

import pytest

STARTS = {"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"}
SERVERS = {"postgres", "tracking_uri"}
_runs_unit_tests = False


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    if _runs_unit_tests and event in STARTS:
        pytest.fail(f"a unit test starts no process ({event}): what does belongs into tests/integration", pytrace=True)


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

"""Steps in containers by way of the engine's proxy: the real operator, the real proxy, a real engine."""

import gc
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from modelyard.settings import Settings
from tests.stack.platform_in_containers import wait_until
from tests.stack.proxy_in_container import LABEL, ProxyInContainer, run

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(300),
    # The engine's client leaves the connection of an attached container open.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = 60
DAG_RUN = SimpleNamespace(
    dag_id="loan_approval.load_raw_data", run_id="manual__1", logical_date=datetime(2026, 1, 1, tzinfo=UTC)
)
WHO_AM_I = """
import os
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(os.getuid(), status["CapBnd"].strip(), status["NoNewPrivs"].strip(), os.path.ismount("/use-cases"))
"""
Operator = Callable[[str], Any]


@pytest.fixture
def operator(proxy: ProxyInContainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Operator]:
    """Makes a step that runs a program, as the DAGs make theirs."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    monkeypatch.setenv("_AIRFLOW__AS_LIBRARY", "1")
    monkeypatch.setenv("ACCEPTED_FILES_URL", "s3://data/reçus")
    from dags.step_container import StepContainer

    settings = Settings(
        _env_file=None,
        step_image=proxy.image,
        step_network=proxy.network,
        step_engine_url=proxy.url,
        step_use_cases_volume=proxy.volume,
        use_cases_path=Path("/use-cases"),
    )
    yield lambda program: StepContainer(settings=settings, arguments=["load", program], task_id="load")
    assert proxy.containers() == []


def execute(step: Any) -> None:
    step.execute({"dag_run": DAG_RUN, "triggering_asset_events": {}, "outlet_events": {}})


@pytest.fixture(autouse=True)
def _close_what_clients_left() -> Iterator[None]:
    yield
    gc.collect()


def test_a_step_runs_and_what_it_says_is_logged_also_with_accents(operator: Operator, capfd: Any) -> None:
    execute(operator("import os; print('prêts', os.environ['ACCEPTED_FILES_URL'])"))
    assert "prêts s3://data/reçus" in "".join(capfd.readouterr())


def test_a_step_has_no_privileges_and_the_volume_of_use_cases(operator: Operator, capfd: Any) -> None:
    execute(operator(WHO_AM_I))
    assert "10001 0000000000000000 1 True" in "".join(capfd.readouterr())


def test_a_step_that_fails_fails_its_task_with_its_reason(operator: Operator) -> None:
    with pytest.raises(AirflowFailException, match=r"^the file is empty$"):
        execute(operator("print('error: the file is empty'); sys.exit(2)"))


def test_an_image_that_is_not_there_is_said(operator: Operator, proxy: ProxyInContainer) -> None:
    step = operator("print('never')")
    step.image = proxy.image.replace("-steps:", "-steps-tensorflow:")
    step.extra = "tensorflow"
    with pytest.raises(AirflowFailException, match="run `make images-tensorflow`, or pull it"):
        execute(step)


def test_a_silent_step_is_ended_with_its_task(operator: Operator, proxy: ProxyInContainer) -> None:
    step = operator("import time; time.sleep(86400)")
    failed: list[BaseException] = []
    running = threading.Thread(target=lambda: failed.append(outcome(step)))
    running.start()
    wait_until(lambda: is_running(proxy), "the step's container", SECONDS)
    step.on_kill()
    running.join(SECONDS)
    assert not running.is_alive()


def outcome(step: Any) -> BaseException:
    try:
        execute(step)
    except Exception as error:  # noqa: BLE001 - whatever a task that is ended fails with
        return error
    raise AssertionError("the step that was ended ended well")


def is_running(proxy: ProxyInContainer) -> bool:
    [container] = proxy.containers() or [""]
    return bool(container) and run("docker", "inspect", "--format", "{{.State.Running}}", container) == "true"


def test_what_make_down_looks_for_is_on_every_container(proxy: ProxyInContainer) -> None:
    container = json.loads(proxy.create(proxy.asked_by_airflow()).body)["Id"]
    found = ["docker", "ps", "-aq", "--no-trunc", "--filter", f"label={LABEL}", "--filter", f"network={proxy.network}"]
    assert run(*found) == container
    run("docker", "rm", container)


def test_the_proxy_runs_as_compose_says(proxy: ProxyInContainer) -> None:
    container = proxy.compose("ps", "--quiet", "socket-proxy")
    what = "{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}"
    assert run("docker", "inspect", "--format", what, container) == "true [ALL] [no-new-privileges:true]"

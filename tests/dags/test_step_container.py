from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from modelyard.catalog import find_use_case
from modelyard.errors import BadInput
from modelyard.settings import Settings

GIVEN: dict[str, Any] = {
    "step_runner": "docker",
    "step_image": "modelyard-steps:1",
    "step_network": "modelyard_default",
    "step_engine_url": "tcp://socket-proxy:2375",
    "step_use_cases_volume": "modelyard_use-cases",
    "use_cases_path": Path("/use-cases"),
    "raw_database_url": "postgresql+psycopg2://pipeline:hidden@postgres/raw_data",
}


def task(step_runner: ModuleType, **changes: Any) -> Any:
    return task_of(step_runner, "loan_approval", "load", **changes)


def task_of(step_runner: ModuleType, use_case: str, step: str, **changes: Any) -> Any:
    return step_runner.step(Settings(_env_file=None, **{**GIVEN, **changes}), find_use_case(use_case), step)


def test_training_that_needs_an_extra_runs_in_the_image_that_has_it(step_runner: ModuleType) -> None:
    trained = task_of(step_runner, "skin_cancer", "train", step_image="ghcr.io:443/someone/modelyard-steps:1.2")
    assert trained.image == "ghcr.io:443/someone/modelyard-steps-tensorflow:1.2"
    assert task_of(step_runner, "skin_cancer", "promote").image == "modelyard-steps:1"
    assert task_of(step_runner, "loan_approval", "train").image == "modelyard-steps:1"


def test_a_step_runs_in_the_steps_image_on_the_platforms_network(step_runner: ModuleType) -> None:
    made = task(step_runner)
    assert (made.image, made.network_mode, made.docker_url) == (
        "modelyard-steps:1",
        "modelyard_default",
        "tcp://socket-proxy:2375",
    )
    assert made.command == ["load", "--use-case", "loan_approval", "--run", step_runner.PIPELINE_RUN]
    assert [(mount["Source"], mount["Target"], mount["ReadOnly"]) for mount in made.mounts] == [
        ("modelyard_use-cases", "/use-cases", True)
    ]


def test_what_airflow_shows_of_it_has_no_secret(step_runner: ModuleType) -> None:
    made = task(step_runner)
    assert made.template_fields == ("command",)
    assert "hidden" not in str(vars(made))


@pytest.mark.parametrize("name", ["step_image", "step_network", "step_engine_url"])
def test_a_missing_setting_is_named(step_runner: ModuleType, name: str) -> None:
    with pytest.raises(BadInput, match=f"STEP_RUNNER=docker needs {name.upper()}, too"):
        task(step_runner, **{name: None})

from collections.abc import Iterator
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def step_runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The module, with an Airflow that keeps its files apart and starts nothing when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
        patch.setenv("_AIRFLOW__AS_LIBRARY", "1")
        from dags import step_runner

        yield step_runner


@pytest.fixture
def step_outcome(step_runner: ModuleType) -> ModuleType:  # noqa: ARG001 (it lets Airflow be imported)
    """The module."""
    from dags import step_outcome

    return step_outcome

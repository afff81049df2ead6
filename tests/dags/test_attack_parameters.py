"""What whoever may start a run can make of its parameters: one argument each, and no source that was not allowed."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from modelyard.catalog import find_use_case
from modelyard.errors import BadInput
from modelyard.settings import Settings, child_environment, read_settings
from modelyard.use_case import UseCase

DAG_RUN = SimpleNamespace(dag_id="loan_approval.load_raw_data", run_id="manual__1", logical_date=None, run_after=None)
COMMON = ["load", "--use-case", "loan_approval", "--run", "loan_approval.load_raw_data/manual__1"]
DOCKER = {"step_runner": "docker", "step_image": "a", "step_network": "b", "step_engine_url": "tcp://c:2375"}

Arguments = Callable[..., list[str]]


@pytest.fixture
def made(step_runner: ModuleType) -> Callable[..., Any]:  # noqa: ARG001 (it lets Airflow be imported)
    """The DAG that loads a use case's records."""

    def made(settings: Settings | None = None, use_case: str | UseCase = "loan_approval") -> Any:
        from dags.use_cases import load_raw_data

        found = find_use_case(use_case) if isinstance(use_case, str) else use_case
        return load_raw_data(settings or read_settings(), found)

    return made


@pytest.fixture
def rendered(made: Callable[..., Any]) -> Arguments:
    """The arguments that the step of a run with these parameters is started with."""

    def rendered(settings: Settings | None = None, **params: str | None) -> list[str]:
        dag = made(settings)
        task = dag.get_task("load")
        context: Any = {"params": {**dag.params, **params}, "dag_run": DAG_RUN, "triggering_asset_events": {}}
        task.render_template_fields(context)
        (field,) = task.template_fields
        return [argument for argument in getattr(task, field) if argument]

    return rendered


@pytest.mark.parametrize("runner", ["process", "docker"])
@pytest.mark.parametrize(
    "value",
    [
        "my_loans.csv",
        "{{ 7 * 7 }}",
        "{{ conn.get('database') }}",
        "{% for x in range(10**9) %}{% endfor %}",
        "a.csv --use-case iris --run other",
        "a.csv\n--profile=other",
        "--restricted=false",
        "--no-restricted",
        "a.csv', '--profile=other",
        "; touch /tmp/touched",
        "$(touch /tmp/touched)",
    ],
)
def test_a_parameter_is_one_argument_whatever_it_says(rendered: Arguments, runner: str, value: str) -> None:
    settings = read_settings(**DOCKER) if runner == "docker" else read_settings()
    assert rendered(settings, source=value) == [*COMMON, "--restricted", f"--source={value}"]


def test_no_parameter_takes_the_restriction_away(rendered: Arguments) -> None:
    assert rendered() == [*COMMON, "--restricted"]


@pytest.mark.parametrize("value", [["a.csv", "--profile=other"], {"a": "b"}, 7, True])
def test_a_parameter_that_is_no_text_is_refused_before_anything_runs(made: Callable[..., Any], value: object) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    with pytest.raises(ParamValidationError):
        made().params.update({"source": value})


def test_a_profile_that_nobody_declared_is_refused_before_anything_runs(made: Callable[..., Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    use_case = find_use_case("credit_risk")
    params = made(use_case=use_case).params
    params.update({"profile": next(iter(use_case.profiles))})
    with pytest.raises(ParamValidationError):
        params.update({"profile": "other"})


def test_what_a_later_file_is_can_be_said_where_there_is_no_key(made: Callable[..., Any]) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    loans = find_use_case("loan_approval")
    assert "records" not in made(use_case=loans).params
    dag = made(use_case=loans.model_copy(update={"key": None}))
    assert "{{ '--records=' ~ params.records if params.records else '' }}" in dag.get_task("load").arguments
    dag.params.update({"records": "other"})
    with pytest.raises(ParamValidationError):
        dag.params.update({"records": "none"})


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("/etc/passwd", "is not among the sources that a run may choose"),
        ("../secret.csv", "is not among the sources that a run may choose"),
        ("file:///etc/passwd", "is not among the sources that a run may choose"),
        ("filecache::https://example.org/a.csv", "is not among the sources that a run may choose"),
        ("https://127.0.0.1:1/a.csv", "is in no public network"),
    ],
)
def test_the_step_that_airflow_starts_reads_no_other_source(
    rendered: Arguments, tmp_path: Path, source: str, sentence: str
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.csv").write_text("root:$6$secret:19000\n")
    environment = child_environment(
        {
            "MODELYARD_HOME": str(tmp_path / "home"),
            # A step that has read the source says that this does not answer.
            "RAW_DATABASE_URL": "postgresql+psycopg2://nobody@127.0.0.1:1/raw_data",
            "CLEAN_DATABASE_URL": "postgresql+psycopg2://nobody@127.0.0.1:1/clean_data",
        }
    )
    command = [str(Path(sys.executable).with_name("modelyard")), *rendered(source=source)]
    done = subprocess.run(command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == BadInput.exit_code, done.stderr
    assert sentence in done.stderr
    assert "root:" not in done.stdout + done.stderr

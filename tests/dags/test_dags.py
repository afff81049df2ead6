import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modelyard.catalog import find_use_case, read_catalog
from modelyard.settings import child_environment

REPOSITORY = Path(__file__).parents[2]
DAGS = REPOSITORY / "dags"
KEY = "{{ pipeline_run(dag_run, triggering_asset_events) }}"

OWN_USE_CASE = """
from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.use_case import Candidate, UseCase

USE_CASE = UseCase(
    name="churn",
    title="Churn",
    description="Says whether a customer leaves.",
    kind=TaskKind.BINARY,
    features=(Feature(name="age", type=FeatureType.NUMBER),),
    target=Target(name="churned", classes=(0, 1)),
    source="churn.csv",
    candidates=(Candidate(name="logistic_regression", estimator="sklearn.linear_model.LogisticRegression"),),
    schedule="*/10 * * * *",
)
"""

Description = dict[str, Any]
Describe = Callable[..., Description]


@pytest.fixture(scope="module")
def describe(tmp_path_factory: pytest.TempPathFactory) -> Describe:
    """What Airflow makes of our DAG folder, with these environment variables."""

    def describe(**environment: str) -> Description:
        changes = {
            "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(REPOSITORY),
            **environment,
        }
        done = subprocess.run(
            [sys.executable, Path(__file__).with_name("describe_dags.py"), DAGS],
            check=False,
            env=child_environment(changes),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        description: Description = json.loads(done.stdout.splitlines()[-1])
        return description

    return describe


@pytest.fixture(scope="module")
def described(describe: Describe) -> Description:
    return describe()


@pytest.fixture(scope="module")
def with_own(describe: Describe, tmp_path_factory: pytest.TempPathFactory) -> Description:
    """With a folder of the user's that has a good use case and a broken one."""
    folder = tmp_path_factory.mktemp("use_cases")
    (folder / "churn.py").write_text(OWN_USE_CASE)
    (folder / "broken.py").write_text("1 / 0")
    (folder / "half.py").write_text(OWN_USE_CASE[: len(OWN_USE_CASE) // 2])
    (folder / "never.py").write_text(OWN_USE_CASE.replace('"churn"', '"never"').replace("*/10 * * * *", "when I like"))
    return describe(USE_CASES_PATH=str(folder))


@pytest.fixture
def loan_dags(described: Description) -> dict[str, Any]:
    return {name.split(".")[1]: dag for name, dag in described["dags"].items() if name.startswith("loan_approval.")}


def test_airflow_finds_three_dags_of_a_use_case_and_no_error(described: Description, loan_dags: dict[str, Any]) -> None:
    assert described["errors"] == {}
    assert set(loan_dags) == {"load_raw_data", "preprocess_data", "train_model"}


def test_reading_the_folder_loads_nothing_heavy(described: Description) -> None:
    assert described["heavy"] == []


def test_no_dag_file_imports_another() -> None:
    helpers = {"discovery", "step_runner", "step_container", "step_outcome"}
    for file in DAGS.glob("*.py"):
        others = {other.stem for other in DAGS.glob("*.py")} - {file.stem, *helpers, "__init__"}
        assert not [other for other in others if f"dags.{other}" in file.read_text()], file


def test_a_failed_task_is_tried_three_times_more_30_seconds_apart(loan_dags: dict[str, Any]) -> None:
    tasks = [task for dag in loan_dags.values() for task in dag["tasks"].values()]
    assert {(task["retries"], task["retry_delay_seconds"]) for task in tasks} == {(3, 30)}


def test_a_dag_runs_once_at_a_time_and_catches_nothing_up(loan_dags: dict[str, Any]) -> None:
    assert {(dag["max_active_runs"], dag["catchup"]) for dag in loan_dags.values()} == {(1, False)}


def test_a_dag_says_what_it_is(loan_dags: dict[str, Any]) -> None:
    for dag in loan_dags.values():
        assert dag["tags"] == ["binary", "loan_approval", "modelyard"]
        assert "Loan approval" in dag["doc_md"]
        assert "Says whether a loan is approved" in dag["doc_md"]
    assert "quarantine" in loan_dags["load_raw_data"]["doc_md"] or "bad" in loan_dags["load_raw_data"]["doc_md"]


def test_the_dags_are_chained_by_assets(loan_dags: dict[str, Any]) -> None:
    load, preprocess, train = (loan_dags[name] for name in ("load_raw_data", "preprocess_data", "train_model"))
    assert load["schedule"] == find_use_case("loan_approval").schedule == "@daily"
    assert load["tasks"]["load"]["updates"] == preprocess["schedule"] == ["loan_approval.raw_data"]
    assert preprocess["tasks"]["preprocess"]["updates"] == train["schedule"] == ["loan_approval.clean_data"]


def test_candidates_are_trained_side_by_side_then_compared_promoted_and_deployed(loan_dags: dict[str, Any]) -> None:
    upstream = {name: task["upstream"] for name, task in loan_dags["train_model"]["tasks"].items()}
    names = [candidate.name for candidate in find_use_case("loan_approval").candidates]
    trainings = sorted(f"train_{name}" for name in names)
    assert upstream == {
        **{name: [] for name in trainings},
        "compare": trainings,
        "promote": ["compare"],
        "deploy": ["promote"],
    }


def test_each_task_runs_one_step_with_the_key_of_the_pipeline_run(loan_dags: dict[str, Any]) -> None:
    arguments = {name: task["arguments"] for dag in loan_dags.values() for name, task in dag["tasks"].items()}
    common = ["--use-case", "loan_approval", "--run", KEY]
    assert arguments["preprocess"] == ["preprocess", *common]
    day = "{{ run_day(dag_run, triggering_asset_events) }}"
    assert arguments["train_random_forest"] == ["train", *common, "--candidate", "random_forest", "--date", day]
    assert arguments["promote"] == ["promote", *common, "--unattended"]
    assert arguments["deploy"] == ["deploy", *common]


def test_another_source_can_be_loaded(loan_dags: dict[str, Any]) -> None:
    load = loan_dags["load_raw_data"]
    assert load["params"] == {"source": None}
    assert load["tasks"]["load"]["arguments"][-1] == "{{ '--source=' ~ params.source if params.source else '' }}"


def test_a_broken_use_case_is_an_import_error_that_names_it_and_takes_no_other_away(with_own: Description) -> None:
    (message,) = with_own["errors"].values()
    assert "broken.py:1: division by zero" in message
    assert "half.py:" in message
    assert "use case never: schedule='when I like'" in message
    assert {"loan_approval.train_model", "churn.train_model"} <= set(with_own["dags"])
    # What is wrong with one file of DAGs stops all the runs of its DAGs.
    assert [Path(file).name for file in with_own["errors"]] == ["use_case_errors.py"]


def test_a_step_works_beside_a_broken_use_case(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    command = [str(Path(sys.executable).with_name("modelyard")), "extra", "--use-case", "skin_cancer"]
    environment = child_environment({"USE_CASES_PATH": str(tmp_path)})
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "tensorflow\n"), done.stderr


def test_a_use_case_of_the_users_gets_its_dags(with_own: Description) -> None:
    dag = with_own["dags"]["churn.load_raw_data"]
    assert dag["schedule"] == "*/10 * * * *"
    assert dag["tags"] == ["binary", "churn", "modelyard"]


def test_only_the_default_use_case_runs_by_itself_at_first(with_own: Description) -> None:
    assert run_by_themselves(with_own["dags"]) == {"loan_approval.load_raw_data"}


def test_another_default_use_case_is_the_one_that_runs_by_itself(describe: Describe) -> None:
    assert run_by_themselves(describe(DEFAULT_USE_CASE="iris")["dags"]) == {"iris.load_raw_data"}


def run_by_themselves(dags: dict[str, Any]) -> set[str]:
    loads = {name: dag for name, dag in dags.items() if name.endswith(".load_raw_data")}
    return {name for name, dag in loads.items() if dag["schedule"] and not dag["paused_at_first"]}


def test_what_has_no_schedule_waits_for_nothing_but_to_be_started(described: Description) -> None:
    load = described["dags"]["skin_cancer.load_raw_data"]
    assert (load["schedule"], load["paused_at_first"]) == (None, False)


def test_every_use_case_has_the_schedule_that_it_declares(described: Description) -> None:
    use_cases = read_catalog().use_cases
    found = {name: described["dags"][f"{name}.load_raw_data"]["schedule"] for name in use_cases}
    assert found == {name: use_case.schedule for name, use_case in use_cases.items()}
    assert (found["credit_risk"], found["iris"]) == ("*/10 * * * *", "@daily")


def test_without_schedules_a_load_waits_for_somebody_to_start_it(describe: Describe) -> None:
    described = describe(SCHEDULES_ENABLED="false")
    assert described["dags"]["loan_approval.load_raw_data"]["schedule"] is None
    assert described["dags"]["loan_approval.train_model"]["schedule"] == ["loan_approval.clean_data"]

"""The notebooks, run from top to bottom as JupyterLab runs them, on a real Postgres and a real MLflow."""

import ast
from pathlib import Path
from typing import Any

import mlflow
import nbformat
import pytest
from nbclient import NotebookClient

from modelyard.catalog import find_use_case
from modelyard.embedded.postgres import Postgres
from modelyard.steps.load import load
from modelyard.steps.preprocess import preprocess
from modelyard.stores.database import make_engine
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import Candidate

REPOSITORY = Path(__file__).parents[2]
NOTEBOOKS = REPOSITORY / "notebooks"


@pytest.fixture
def snapshot_id(empty_postgres: Postgres) -> str:
    """A snapshot of the loans that come with Modelyard."""
    use_case = find_use_case("loan_approval")
    raw, clean = (make_engine(empty_postgres.url(database)) for database in ("raw_data", "clean_data"))
    load(use_case, str(REPOSITORY / "data" / use_case.source), RawStore(raw), 0.0)
    made = preprocess(use_case, RawStore(raw), CleanStore(clean))
    raw.dispose()
    clean.dispose()
    return made.snapshot_id


@pytest.fixture
def run(
    empty_postgres: Postgres, tracking_uri: str, snapshot_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Any:
    """Runs a notebook as the role that explores; returns the texts that its cells have put out."""
    assert snapshot_id
    for name, database in (("RAW_DATABASE_URL", "raw_data"), ("CLEAN_DATABASE_URL", "clean_data")):
        monkeypatch.setenv(name, empty_postgres.url(database, "explorer"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")

    def run(name: str) -> str:
        notebook = nbformat.read(NOTEBOOKS / name, as_version=4)  # type: ignore[no-untyped-call]
        # A warning in a notebook is for its reader; an error ends the run.
        NotebookClient(notebook, timeout=240, resources={"metadata": {"path": NOTEBOOKS}}).execute()
        return "\n".join(
            output.get("text", "") + output.get("data", {}).get("text/plain", "")
            for cell in notebook.cells
            for output in cell.get("outputs", [])
        )

    return run


def test_the_exploring_notebook_runs(run: Any) -> None:
    assert "approved" in run("explore_loan_approval.ipynb")
    [found] = mlflow.search_runs(experiment_names=["explored"], output_format="list")
    assert found.data.metrics["test_roc_auc"] > 0.7


@pytest.mark.long
def test_the_classification_experiments_run_and_keep_what_they_find(run: Any, snapshot_id: str) -> None:
    shown = run("classification_experiments.ipynb")
    assert f"snapshot {snapshot_id}" in shown
    for words in ("Refused", "Approved", "learning_rate", "precision", "weighted avg", "decide otherwise on 0"):
        assert words in shown
    # The lines that are to be declared can be: they are plain Python.
    lines = ast.parse(shown[shown.index("Candidate(") :].rstrip(",\n"), mode="eval").body
    assert isinstance(lines, ast.Call)
    declared = {word.arg: ast.literal_eval(word.value) for word in lines.keywords}
    assert Candidate.model_validate(declared).name == "searched_gradient_boosting"
    [found] = mlflow.search_runs(experiment_names=["loan_approval experiments"], output_format="list")
    assert found.data.tags["snapshot_id"] == snapshot_id
    assert found.data.metrics["test_roc_auc"] > 0.75
    assert found.data.metrics["cross_validated_roc_auc"] > 0.75
    assert found.data.params["searched"] == "10"
    kept = {artifact.path for artifact in mlflow.MlflowClient().list_artifacts(found.info.run_id, "plots")}
    assert {"plots/confusion_matrix.png", "plots/feature_importance.png"} <= kept


@pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda file: file.name)
def test_a_notebook_is_kept_without_what_it_put_out(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    assert [cell.outputs for cell in notebook.cells if cell.get("outputs")] == []

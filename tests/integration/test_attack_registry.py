"""Whoever reaches MLflow, which has no login, registers versions: nothing of theirs runs, anywhere."""

import io
import json
import pickle
import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from modelyard.catalog import find_use_case
from modelyard.embedded.postgres import Postgres
from modelyard.errors import NothingToWorkOn, StepFailed
from modelyard.models.onnx.compiled import PACKAGE_FILES
from modelyard.settings import Settings, child_environment
from modelyard.steps.compare import compare
from modelyard.steps.deploy import deploy
from modelyard.steps.fitted import FITTED_FILE
from modelyard.steps.promote import promote, rollback
from modelyard.steps.prune import prune
from modelyard.steps.score import score
from modelyard.steps.stores import Platform, connected
from modelyard.stores.registry import CHALLENGER, PRODUCTION, Registry
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import UseCase
from tests.integration.pipeline import loop, rows, write

MLMODEL = """
flavors:
  python_function:
    loader_module: {loader}
    code: code
    data: model.pkl
    env: {{virtualenv: python_env.yaml}}
  sklearn:
    pickled_model: model.pkl
    serialization_format: {form}
    skops_trusted_types: [builtins.exec, os.system, posix.system]
    code: code
    sklearn_version: 1.9.1
model_uuid: 00000000000000000000000000000000
run_id: {run_id}
"""


class Payload:
    """What touches a file as it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self._trace)!r}, 'w').close()",)


class Attacker:
    """Somebody who knows MLflow's address and speaks HTTP.

    Args:
        tracking_uri: The address.
        name: The registered model that they attack.
        trace: The file that is there when their code has run.
    """

    def __init__(self, tracking_uri: str, name: str, trace: Path) -> None:
        self.uri = tracking_uri
        self.name = name
        self.trace = trace

    def post(self, route: str, **body: object) -> requests.Response:
        """Asks for a change."""
        return requests.post(f"{self.uri}/api/2.0/mlflow/{route}", json=body, timeout=30)

    def register(self, files: dict[str, bytes], form: str = "cloudpickle") -> int:
        """Registers a version with these files and all that runs code when MLflow loads it."""
        run = self._run()
        place = run["artifact_uri"].removeprefix("mlflow-artifacts:/")
        code = f"open({str(self.trace)!r}, 'w').close()".encode()
        mlmodel = MLMODEL.format(loader="payload", form=form, run_id=run["run_id"]).encode()
        theirs = {"MLmodel": mlmodel, "code/payload.py": code, "model.pkl": pickle.dumps(Payload(self.trace))}
        for name, content in {**theirs, **files}.items():
            url = f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{place}/model/{name}"
            requests.put(url, data=content, timeout=30).raise_for_status()
        made = self.post(
            "model-versions/create", name=self.name, source=f"{run['artifact_uri']}/model", run_id=run["run_id"]
        )
        made.raise_for_status()
        return int(made.json()["model_version"]["version"])

    def point(self, alias: str, version: int) -> None:
        """Moves an alias."""
        self.post("registered-models/alias", name=self.name, alias=alias, version=str(version)).raise_for_status()

    def _run(self) -> dict[str, Any]:
        experiment = self.post("experiments/create", name=f"attack {uuid.uuid4()}").json()["experiment_id"]
        return dict(self.post("runs/create", experiment_id=experiment).json()["run"]["info"])


@pytest.fixture
def use_case() -> UseCase:
    loans = find_use_case("loan_approval")
    return loans.model_copy(update={"name": f"loans_{uuid.uuid4().hex[:8]}", "candidates": loans.candidates[:1]})


@pytest.fixture
def platform(empty_postgres: Postgres, tracking_uri: str, home: Path) -> Iterator[Platform]:
    settings = Settings(_env_file=None, modelyard_home=home, deploy_timeout_seconds=2)
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture
def attacker(tracking_uri: str, use_case: UseCase, tmp_path: Path) -> Attacker:
    return Attacker(tracking_uri, use_case.name, tmp_path / "trace")


@pytest.fixture
def honest(use_case: UseCase, platform: Platform, tmp_path: Path) -> dict[str, bytes]:
    """The files of version 1, which is in production."""
    assert loop(use_case, platform, write(tmp_path / "loans.csv", rows(2000))).verdict is Verdict.PROMOTED
    folder = tmp_path / "honest"
    folder.mkdir()
    platform.registry.download(use_case.name, 1, folder, (*PACKAGE_FILES, FITTED_FILE), 2**30)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_type(fitted: bytes, module: str, name: str) -> bytes:
    """A file of skops's whose outermost object is of another type."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(fitted)) as before, zipfile.ZipFile(changed, "w") as after:
        for entry in before.namelist():
            content = before.read(entry)
            if entry == "schema.json":
                content = json.dumps(json.loads(content) | {"__module__": module, "__class__": name}).encode()
            after.writestr(entry, content)
    return changed.getvalue()


def test_no_step_runs_what_a_version_brings(
    use_case: UseCase, platform: Platform, honest: dict[str, bytes], attacker: Attacker, tmp_path: Path
) -> None:
    alone = attacker.register({})
    attacker.point(CHALLENGER, alone)
    with pytest.raises(StepFailed, match=rf"version {alone} has no contract\.json in the registry"):
        promote(use_case, platform)
    unfitted = attacker.register({name: honest[name] for name in PACKAGE_FILES})
    attacker.point(CHALLENGER, unfitted)
    with pytest.raises(StepFailed, match=rf"version {unfitted} has no model\.skops in the registry"):
        promote(use_case, platform)
    # By MLmodel's own list, its outermost type would be trusted.
    for module, name in (("os", "system"), ("builtins", "exec")):
        evil = with_type(honest[FITTED_FILE], module, name)
        version = attacker.register({**honest, FITTED_FILE: evil, "model.pkl": evil}, form="skops")
        attacker.point(CHALLENGER, version)
        with pytest.raises(StepFailed, match=r"its model\.skops cannot be used: it holds types that are not read"):
            promote(use_case, platform)
    # What passes is judged by what it answers, and its MLmodel is nobody's business.
    attacker.point(CHALLENGER, attacker.register(honest))
    promote(use_case, platform)
    attacker.point(PRODUCTION, alone)
    with pytest.raises(StepFailed, match=rf"version {alone} has no contract\.json"):
        score(use_case, platform, str(tmp_path / "loans.csv"), str(tmp_path / "x.csv"), log=False, tell=lambda _: None)
    assert compare(use_case, platform, "first").version == 1
    deploy(use_case, platform)
    with pytest.raises(NothingToWorkOn):
        rollback(use_case, platform)
    prune(use_case, platform)
    assert not attacker.trace.exists()


def test_a_version_in_production_that_cannot_answer_keeps_no_better_one_out(
    use_case: UseCase, platform: Platform, honest: dict[str, bytes], attacker: Attacker
) -> None:
    assert honest
    attacker.point(PRODUCTION, attacker.register({}))
    attacker.point(CHALLENGER, 1)
    assert promote(use_case, platform).verdict is Verdict.PROMOTED
    assert platform.registry.aliased(use_case.name, PRODUCTION) == 1
    assert not attacker.trace.exists()


@pytest.mark.long
def test_the_commands_say_it_in_a_sentence(
    use_case: UseCase,
    platform: Platform,
    honest: dict[str, bytes],
    attacker: Attacker,
    empty_postgres: Postgres,
    tmp_path: Path,
) -> None:
    assert honest
    version = attacker.register({})
    attacker.point(CHALLENGER, version)
    attacker.point(PRODUCTION, version)
    (tmp_path / "declared").mkdir()
    declaration = (
        "from modelyard.use_cases.loan_approval import USE_CASE as LOANS\n"
        f"USE_CASE = LOANS.model_copy(update={{'name': '{use_case.name}'}})\n"
    )
    (tmp_path / "declared" / f"{use_case.name}.py").write_text(declaration, encoding="utf-8")
    changes = {
        "MODELYARD_HOME": str(platform.settings.home),
        "USE_CASES_PATH": str(tmp_path / "declared"),
        "RAW_DATABASE_URL": empty_postgres.url("raw_data"),
        "CLEAN_DATABASE_URL": empty_postgres.url("clean_data"),
        "MLFLOW_TRACKING_URI": attacker.uri,
    }
    files = ["--in", str(tmp_path / "loans.csv"), "--out", str(tmp_path / "x.csv")]
    for command in (["promote"], ["score", *files]):
        ended = subprocess.run(
            [str(Path(sys.executable).with_name("modelyard")), *command, "--use-case", use_case.name],
            env=child_environment(changes),
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert ended.returncode == 1
        assert f"{use_case.name} version {version} has no contract.json in the registry" in ended.stderr
        assert "Traceback" not in ended.stderr
    assert not attacker.trace.exists()


# What a server on this machine could read, and addresses that MLflow's client would follow with its credentials.
SOURCES = (
    "/etc",
    "file:///etc",
    "mlflow-artifacts:/../../../../etc",
    "mlflow-artifacts:/1/%2e%2e/%2e%2e/%2e%2e/etc",
    "mlflow-artifacts://127.0.0.1:1/etc",
    "http://127.0.0.1:1/etc",
    "s3://secrets/etc",
)


@pytest.mark.parametrize("source", SOURCES)
def test_nothing_is_fetched_from_where_a_version_says_it_is(tracking_uri: str, tmp_path: Path, source: str) -> None:
    attacker = Attacker(tracking_uri, f"attacked_{uuid.uuid4().hex[:8]}", tmp_path / "trace")
    attacker.post("registered-models/create", name=attacker.name).raise_for_status()
    answer = attacker.post("model-versions/create", name=attacker.name, source=source)
    # Most of them the server refuses itself.
    assert answer.status_code == 400 or source.startswith(("s3:", "mlflow-artifacts:/1/"))
    if answer.ok:
        with pytest.raises(StepFailed):
            Registry(tracking_uri).download(attacker.name, 1, tmp_path, ("passwd",), 2**20)
    assert not (tmp_path / "passwd").exists()


def test_what_is_larger_than_it_may_be_is_not_fetched(tracking_uri: str, tmp_path: Path) -> None:
    attacker = Attacker(tracking_uri, f"attacked_{uuid.uuid4().hex[:8]}", tmp_path / "trace")
    attacker.post("registered-models/create", name=attacker.name).raise_for_status()
    version = attacker.register({"model.onnx": b"x" * 3 * 2**20})
    with pytest.raises(StepFailed, match=r"larger than the 2 MB \(MODEL_LIMIT_MB\)"):
        Registry(tracking_uri).download(attacker.name, version, tmp_path, ("model.onnx",), 2 * 2**20)
    assert (tmp_path / "model.onnx").stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("path", ["../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc/passwd", "/etc/passwd"])
def test_the_server_reads_no_artifact_from_outside_of_its_folder(tracking_uri: str, path: str) -> None:
    request = requests.Request("GET", tracking_uri).prepare()
    # As it is: what is prepared is made shorter.
    request.url = f"{tracking_uri}/api/2.0/mlflow-artifacts/artifacts/{path}"
    with requests.Session() as session:
        answer = session.send(request, timeout=30)
    assert not answer.ok
    assert b"root:" not in answer.content


@pytest.mark.parametrize("header", [{"Host": "attacker.example"}, {"Origin": "http://attacker.example"}])
def test_the_server_answers_no_page_of_somebody_elses(tracking_uri: str, header: dict[str, str]) -> None:
    url = f"{tracking_uri}/api/2.0/mlflow/registered-models/create"
    answer = requests.post(url, json={"name": f"attacked_{uuid.uuid4().hex}"}, headers=header, timeout=30)
    assert answer.status_code == 403

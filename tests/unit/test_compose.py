import os
import stat
from pathlib import Path
from typing import Any

import pytest

from modelyard.admin.airflow import initialize
from modelyard.admin.make_secrets import make_secrets
from modelyard.admin.storage import mirror_use_cases
from modelyard.errors import BadInput
from modelyard.settings import Administration, DatabasePasswords, Logins, Settings, step_environment


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Administration.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """As the volumes lie in the container."""
    for name in ("all", "airflow", "steps", "minio", "upload", "mlflow", "jupyter"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_secrets_are_made_once_and_each_service_has_its_own(folder: Path) -> None:
    shown = make_secrets(Administration(), folder)
    kept = {file.name: file.read_text() for file in (folder / "all").iterdir()}
    assert set(kept) == set(Logins.model_fields)
    assert len(set(kept.values())) == len(kept)
    assert make_secrets(Administration(), folder) == shown
    assert {file.name: file.read_text() for file in (folder / "all").iterdir()} == kept
    assert (folder / "minio" / "minio_root_password").read_text() == kept["minio_root_password"]
    assert [file.name for file in (folder / "minio").iterdir()] == ["minio_root_password"]
    assert kept["mlflow_s3_secret_key"] in (folder / "mlflow" / "aws_credentials").read_text()
    assert {stat.S_IMODE(file.stat().st_mode) for file in (folder / "all").iterdir()} == {0o600}


def test_how_people_get_in_is_shown_with_a_link_that_logs_in(folder: Path) -> None:
    shown = "\n".join(make_secrets(Administration(public_host="models.example", jupyter_port=9085), folder))
    kept = {file.name: file.read_text() for file in (folder / "all").iterdir()}
    assert f"http://models.example:9085/lab/tree/notebooks?token={kept['jupyter_token']}" in shown
    assert f"airflow / {kept['airflow_password']}" in shown
    assert f"modelyard / {kept['minio_root_password']}" in shown


def test_a_secret_of_ones_own_is_used_and_not_shown(folder: Path) -> None:
    shown = make_secrets(Administration(airflow_password="my own words", jupyter_token="my own token"), folder)
    assert (folder / "airflow" / "airflow_password").read_text() == "my own words"
    assert "my own" not in "\n".join(shown)
    assert "AIRFLOW_PASSWORD of secrets.env" in "\n".join(shown)


def test_an_open_platform_needs_passwords_of_its_own_and_names_those_that_are_not(folder: Path) -> None:
    own: dict[str, Any] = {name: f"own-{name}" for name in DatabasePasswords.model_fields}
    make_secrets(Administration(bind_address="192.0.2.1", **own), folder)
    del own["api_password"], own["mlflow_database_password"]
    with pytest.raises(BadInput, match=r"with the default of API_PASSWORD, MLFLOW_DATABASE_PASSWORD: `make secrets`"):
        make_secrets(Administration(bind_address="192.0.2.1", **own), folder)


def test_an_empty_secret_is_one_that_is_not_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_TOKEN", "")
    make_secrets(Administration(), folder)
    assert len((folder / "jupyter" / "jupyter_token").read_text()) >= 32


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_a_sentence(folder: Path) -> None:
    (folder / "all").chmod(0o500)
    with pytest.raises(BadInput, match="the secrets cannot be kept in"):
        make_secrets(Administration(), folder)


def test_no_secret_is_shown() -> None:
    shown = repr(Administration(admin_database_url="postgresql+psycopg2://a:postgres@b/c"))
    assert not [
        name
        for name in (*Logins.model_fields, *DatabasePasswords.model_fields, "admin_database_url")
        if f"{name}=" in shown
    ]


def test_the_use_cases_of_the_platform_are_those_of_the_folder(tmp_path: Path) -> None:
    folder, into = tmp_path / "folder", tmp_path / "into"
    folder.mkdir()
    into.mkdir()
    (folder / "one.py").write_text("1")
    (folder / "README.md").write_text("no use case")
    (into / "gone.py").write_text("0")
    assert mirror_use_cases(folder, into) == ["one.py"]
    assert {file.name: file.read_text() for file in into.iterdir()} == {"one.py": "1"}


def test_a_step_is_told_what_it_needs_and_nothing_else() -> None:
    settings = Settings(
        _env_file=None, aws_secret_access_key="key", airflow_password="airflows", jupyter_token="jupyters"
    )
    told = step_environment(settings)
    assert told["AWS_SECRET_ACCESS_KEY"] == "key"
    assert told["ALLOWED_BAD_SHARE"] == "0.05"
    assert not {"airflows", "jupyters"} & set(told.values())
    assert "MODELYARD_HOME" not in told


def test_a_secret_that_nobody_has_made_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"AIRFLOW_PASSWORD is not set: under compose the service `secrets` makes it"):
        initialize(Administration(), tmp_path)
    assert list(tmp_path.iterdir()) == []

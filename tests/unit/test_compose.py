from pathlib import Path
from typing import Any

import pytest

from modelyard.compose.secrets import check_secrets, default_secrets
from modelyard.compose.storage import mirror_use_cases
from modelyard.errors import BadInput
from modelyard.settings import Administration, Secrets, Settings, step_environment


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Administration.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_default_secrets_are_good_enough_where_nobody_else_comes(address: str) -> None:
    check_secrets(Administration(bind_address=address))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_an_open_platform_needs_secrets_of_its_own_and_names_those_that_are_not(address: str) -> None:
    own: dict[str, Any] = {name: f"own-{name}" for name in Secrets.model_fields}
    check_secrets(Administration(bind_address=address, **own))
    del own["api_password"], own["jupyter_token"]
    with pytest.raises(BadInput, match=r"with the default of API_PASSWORD, JUPYTER_TOKEN: `make secrets`"):
        check_secrets(Administration(bind_address=address, **own))


def test_what_is_no_address_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="BIND_ADDRESS=everywhere is no address"):
        check_secrets(Administration(bind_address="everywhere"))


def test_an_empty_secret_is_the_default_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PASSWORD", "")
    assert "API_PASSWORD" in default_secrets(Secrets())


def test_no_secret_is_shown() -> None:
    shown = repr(Administration(admin_database_url="postgresql+psycopg2://a:postgres@b/c"))
    assert not [name for name in (*Secrets.model_fields, "admin_database_url") if f"{name}=" in shown]


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

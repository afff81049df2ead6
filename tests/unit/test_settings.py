import os
import re
from pathlib import Path

import pytest

from modelyard.errors import BadInput
from modelyard.settings import (
    DatabasePasswords,
    Logins,
    Settings,
    listed,
    reach_this_machine_directly,
    read_settings,
    settings_environment,
    step_environment,
)

CONFIG = Path(__file__).parents[2] / "config.env"
COMPOSE = Path(__file__).parents[2] / "docker" / "compose.yaml"


def documented() -> dict[str, str]:
    lines = CONFIG.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("=", 1) for line in lines if line and not line.startswith("#"))
    return {name.lower(): value for name, value in pairs}


def documented_secrets() -> dict[str, str]:
    return {
        name.lower(): value for name, value in re.findall(r"^# ([A-Z0-9_]+)=(.*)$", CONFIG.read_text(), re.MULTILINE)
    }


def used_by_compose() -> set[str]:
    names = re.findall(r"(?<!\$)\$\{([A-Z0-9_]+)", COMPOSE.read_text(encoding="utf-8"))
    return {name.lower() for name in names} - {"compose_project_name"}


def test_config_env_documents_every_setting_and_every_value_that_compose_uses_and_no_other() -> None:
    assert set(documented()) | set(documented_secrets()) == set(Settings.model_fields) | used_by_compose()


def test_no_secret_stands_in_config_env() -> None:
    """There it would win over secrets.env when compose is told to read the file."""
    secrets = {
        name
        for name, field in {**Settings.model_fields, **DatabasePasswords.model_fields, **Logins.model_fields}.items()
        if not field.repr
    }
    assert set(documented()) & secrets == {"raw_database_url", "clean_database_url", "mlflow_tracking_uri"}
    assert not any(documented()[name] for name in secrets & set(documented()))


def test_the_defaults_of_secrets_are_documented() -> None:
    defaults = {name: field.default for name, field in DatabasePasswords.model_fields.items()}
    made = dict.fromkeys(Logins.model_fields, "")
    own = {"api_key": "", "api_keys": "", "aws_access_key_id": "", "aws_secret_access_key": ""}
    assert documented_secrets() == {**defaults, **made, **own}


def test_every_setting_in_config_env_has_words_above_it() -> None:
    blocks = CONFIG.read_text(encoding="utf-8").split("\n\n")
    silent = [block for block in blocks if "=" in block.replace("#", "") and not block.startswith("#")]
    # The ports need no more words than their block has.
    assert silent == []


def test_the_values_in_config_env_are_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    assert Settings(_env_file=CONFIG) == Settings(_env_file=None)


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config.env").write_text("API_PORT=9001\nMLFLOW_PORT=9002\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("API_PORT", "9003")
    monkeypatch.delenv("MLFLOW_PORT", raising=False)
    settings = read_settings()
    assert (settings.api_port, settings.mlflow_port) == (9003, 9002)


def test_an_impossible_value_is_a_sentence_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "70000")
    with pytest.raises(BadInput, match=r"API_PORT: Input should be less than or equal to 65535"):
        read_settings()


@pytest.mark.parametrize("keys", ["a key as it is", ",", f"{'0' * 64},"])
def test_keys_of_the_api_are_hashes(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setenv("API_KEYS", keys)
    with pytest.raises(BadInput, match=r"API_KEYS: .*must be SHA-256 hashes") as caught:
        read_settings()
    assert "a key as it is" not in str(caught.value)
    monkeypatch.setenv("API_KEYS", f"{'0' * 64}, {'aF' * 32}")
    assert read_settings().api_keys


@pytest.mark.parametrize("sources", ["data", "https://,data", "ftp://host/", "https://user@host/", "file:///data"])
def test_what_runs_may_load_is_paths_and_urls(monkeypatch: pytest.MonkeyPatch, sources: str) -> None:
    monkeypatch.setenv("SOURCES_ALLOWED", sources)
    with pytest.raises(BadInput, match=r"SOURCES_ALLOWED: .*must be absolute paths or URLs"):
        read_settings()
    monkeypatch.setenv("SOURCES_ALLOWED", "/srv/data, s3://other/in, https://, http://10.0.0.5:9000/exports/")
    settings = read_settings()
    assert len(listed(settings.sources_allowed)) == 4
    assert step_environment(settings)["SOURCES_ALLOWED"] == settings.sources_allowed


def test_services_are_read_as_json_and_what_is_none_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MORE_SERVICES", '{"Charts": {"health": "http://charts/health"}}')
    settings = read_settings()
    assert settings.more_services["Charts"].health == "http://charts/health"
    for name, value in settings_environment(settings).items():
        monkeypatch.setenv(name, value)
    assert read_settings().more_services == settings.more_services
    monkeypatch.setenv("MORE_SERVICES", "not JSON")
    with pytest.raises(BadInput, match="MORE_SERVICES: "):
        read_settings()


def test_no_secret_is_shown() -> None:
    shown = repr(
        Settings(_env_file=None, raw_database_url="postgresql+psycopg2://a:hidden@b/c", airflow_password="hidden")
    )
    assert "hidden" not in shown


@pytest.mark.parametrize("spelling", ["NO_PROXY", "no_proxy"])
def test_a_proxy_stays_out_of_the_way_to_this_machine_and_to_those_that_were_named(
    monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv(spelling, "example.org")
    # Every step that a step's process starts does so again.
    for _ in range(3):
        reach_this_machine_directly()
    assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.org,127.0.0.1,localhost"

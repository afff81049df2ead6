import json
import stat
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import pytest
from sqlalchemy import text

from modelyard.embedded.postgres import Postgres
from modelyard.native.airflow import airflow_environment, airflow_home, configure_airflow, migrate_airflow
from modelyard.settings import Settings, read_settings
from modelyard.stores.database import make_engine
from modelyard.stores.migrate import migrate


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "logs").mkdir()
    return read_settings(modelyard_home=tmp_path, airflow_user="ada", airflow_password="100% secret")


def read_configuration(settings: Settings) -> ConfigParser:
    configuration = ConfigParser()
    configuration.read(airflow_home(settings.home) / "airflow.cfg")
    return configuration


def test_what_is_secret_can_be_read_by_its_owner_alone(settings: Settings, postgres: Postgres) -> None:
    folder = airflow_home(settings.home)
    folder.mkdir()
    (folder / "airflow.cfg").touch(mode=0o644)
    configure_airflow(settings, postgres, 8080, Path("repository"))
    assert {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {
        "airflow.cfg": 0o600,
        "passwords.json": 0o600,
    }


def test_the_user_can_log_in_with_his_password(settings: Settings, postgres: Postgres) -> None:
    configure_airflow(settings, postgres, 8080, Path("repository"))
    core = read_configuration(settings)["core"]
    assert core["simple_auth_manager_users"] == "ada:admin"
    assert json.loads(Path(core["simple_auth_manager_passwords_file"]).read_text()) == {"ada": "100% secret"}


def test_keys_are_made_once_for_a_home_and_differ_between_homes(
    settings: Settings, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    names = [("core", "fernet_key"), ("api_auth", "jwt_secret"), ("api", "secret_key")]
    other = read_settings(modelyard_home=tmp_path_factory.mktemp("other"))
    keys = []
    for each in (settings, settings, other):
        configure_airflow(each, postgres, 8080, Path("repository"))
        configuration = read_configuration(each)
        keys.append([configuration[section][name] for section, name in names])
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])
    assert all(len(key) >= 32 for key in keys[0])


def test_what_the_shell_has_for_another_airflow_does_not_reach_ours(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://elsewhere")
    monkeypatch.setenv("AIRFLOW_HOME", "/elsewhere")
    environment = airflow_environment(settings.home, {"NAME": "value"})
    assert environment["AIRFLOW_HOME"] == str(settings.home / "airflow")
    assert environment["NAME"] == "value"
    assert not [name for name in environment if name.startswith("AIRFLOW__")]


@pytest.fixture
def without_airflow_database(postgres: Postgres) -> Iterator[Postgres]:
    drop_airflow_database(postgres)
    yield postgres
    drop_airflow_database(postgres)


def drop_airflow_database(postgres: Postgres) -> None:
    """Puts a new, empty one into its place."""
    engine = make_engine(postgres.admin_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("drop database airflow with (force)"))
    engine.dispose()
    migrate(postgres.admin_url)


@pytest.mark.timeout(600)
def test_airflows_database_is_migrated_once_and_again_when_it_was_removed(
    settings: Settings, without_airflow_database: Postgres
) -> None:
    postgres = without_airflow_database
    configure_airflow(settings, postgres, 8080, Path("repository"))
    environment = airflow_environment(settings.home, {})
    assert migrate_airflow(settings.home, postgres, environment)
    assert not migrate_airflow(settings.home, postgres, environment)
    drop_airflow_database(postgres)
    assert migrate_airflow(settings.home, postgres, environment)
    engine = make_engine(postgres.url("airflow", role="airflow"))
    with engine.connect() as connection:
        assert connection.scalar(text("select count(*) from dag")) == 0
    engine.dispose()

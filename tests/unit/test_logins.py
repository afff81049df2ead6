import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelyard.errors import BadInput
from modelyard.logins import KNOWN_SECRETS, check_secrets, keep_secret
from modelyard.settings import DatabasePasswords


def test_a_secret_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    secret = keep_secret(tmp_path / "secrets", "jupyter_token", None)
    assert len(secret) >= 32
    assert keep_secret(tmp_path / "secrets", "jupyter_token", None) == secret
    assert keep_secret(tmp_path / "others", "jupyter_token", None) != secret
    assert stat.S_IMODE((tmp_path / "secrets" / "jupyter_token").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_a_secret_that_is_given_is_the_one_that_is_kept(tmp_path: Path) -> None:
    keep_secret(tmp_path, "airflow_password", None)
    assert keep_secret(tmp_path, "airflow_password", "my own words") == "my own words"
    assert keep_secret(tmp_path, "airflow_password", None) == "my own words"
    assert [file.name for file in tmp_path.iterdir()] == ["airflow_password"]


def test_of_many_that_start_at_once_all_have_the_same_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as starting:
        made = set(starting.map(lambda _: keep_secret(tmp_path, "jupyter_token", None), range(64)))
    assert len(made) == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_default_passwords_of_a_database_without_a_port_are_good_enough_on_a_laptop(address: str) -> None:
    check_secrets(address, {"jupyter_token": None}, {"api_password": "api"})


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.0.2.1"])  # noqa: S104
def test_an_open_platform_has_no_default_password(address: str) -> None:
    with pytest.raises(BadInput, match=f"BIND_ADDRESS={address} opens .* the default of API_PASSWORD: `make secrets`"):
        check_secrets(address, {}, {"api_password": "api", "pipeline_password": "own"})


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("known", ["airflow", "modelyard", "minioadmin"])
def test_what_everybody_knows_opens_no_published_port(address: str, known: str) -> None:
    with pytest.raises(BadInput, match="AIRFLOW_PASSWORD: everybody knows this value"):
        check_secrets(address, {"airflow_password": known, "jupyter_token": None}, {})


def test_every_default_is_one_that_is_known() -> None:
    assert {field.default for field in DatabasePasswords.model_fields.values()} <= KNOWN_SECRETS


def test_what_is_no_address_is_a_sentence() -> None:
    with pytest.raises(BadInput, match="BIND_ADDRESS=everywhere is no address"):
        check_secrets("everywhere", {}, {})

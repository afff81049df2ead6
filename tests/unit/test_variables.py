"""The names of environment variables: a misspelt one is told, and what Kubernetes injects never reaches a setting."""

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.errors import BadInput
from modelyard.settings import (
    SETTINGS_VARIABLES,
    WITHOUT_PREFIX,
    Administration,
    Settings,
    bare_environment,
    check_handed_over_names,
    check_variables,
    log_variables,
    read_settings,
    settings_environment,
    step_environment,
)
from modelyard.variables import INTERNAL_VARIABLES, PREFIX, STARTED_BY, is_injected, variable_of

REPOSITORY = Path(__file__).parents[2]
# Words that are something else there: a build argument, constants, a name of before.
OTHER_THINGS = {
    "benchmarks/load.py": {"ALLOWED_BAD_SHARE"},
    "benchmarks/preprocess.py": {"ALLOWED_BAD_SHARE"},
    "docker/Dockerfile": {"PYTHON_IMAGE"},
    "docker/compose.yaml": {"PYTHON_IMAGE"},
    "src/modelyard/pictures.py": {"DATA_URL"},
    "tests/stack/test_configuration.py": {"API_KEYS"},
}
WRITTEN = (
    *("*.md", "*.yaml", "*.toml", "config.env", "Makefile", "Procfile", ".github/**/*.yml"),
    *("benchmarks/**/*.py", "dags/**/*.py", "docs/**/*.md", "examples/**/*.py", "notebooks/*.ipynb", "plugins/**/*.py"),
    *(
        "docker/**/*.py",
        "docker/**/*.yaml",
        "docker/**/*.cfg",
        "docker/**/*.sh",
        "docker/**/Dockerfile",
        "docker/*/build",
    ),
    *("services/**/*.py", "services/**/*.toml", "src/**/*.py", "src/**/*.sql", "tests/**/*.py"),
)
# What tests of services and of compose set, to see it refused.
MISSPELT = {"MODELYARD_API_PROT", "MODELYARD_KEEP_VERSION"}
# They tell what a name was.
TOLD = re.compile(r"docs/decisions/0090-.*|CHANGELOG\.md|tests/unit/test_variables\.py")


@pytest.fixture(autouse=True)
def nothing_of_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment and a working folder without settings."""
    for name in [each for each in os.environ if each.startswith(PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    command = [str(Path(sys.executable).with_name("modelyard")), *arguments]
    environment = {**os.environ, **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def write(name: str, text: str) -> None:
    Path(name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("MODELYARD_API_PROT", "did you mean MODELYARD_API_PORT?"),
        ("MODELYARD_APIKEY", "did you mean MODELYARD_API_KEY?"),
        ("MODELYARD_DATABASE_RAW_URL", "did you mean MODELYARD_RAW_DATABASE_URL?"),
        ("MODELYARD_MLFLOW_TRACKING_URI", "did you mean MLFLOW_TRACKING_URI?"),
        ("MODELYARD_VERSIONS", "did you mean MODELYARD_VERSION?"),
        ("MODELYARD_XYZZY", "config.env lists them all"),
    ],
)
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(
    monkeypatch: pytest.MonkeyPatch, misspelt: str, meant: str
) -> None:
    monkeypatch.setenv(misspelt, "1")
    with pytest.raises(BadInput, match=re.escape(f"{misspelt} is not a setting: {meant}")):
        check_variables()


def test_a_command_that_a_person_types_ends_with_it() -> None:
    done = run("extra", MODELYARD_DEFAULT_USECASE="iris")
    assert done.returncode == 2
    assert (
        done.stderr == "error: MODELYARD_DEFAULT_USECASE is not a setting: did you mean MODELYARD_DEFAULT_USE_CASE?\n"
    )


def test_in_a_step_that_airflow_starts_it_is_a_line_in_the_log() -> None:
    done = run("extra", MODELYARD_DEFAULT_USECASE="iris", MODELYARD_STARTED_BY="airflow")
    assert done.returncode == 0
    assert "MODELYARD_DEFAULT_USECASE is not a setting: did you mean MODELYARD_DEFAULT_USE_CASE?\n" in done.stderr


def test_a_step_in_a_container_knows_that_airflow_started_it() -> None:
    assert step_environment(Settings(_env_file=None))[STARTED_BY] == "airflow"


@pytest.mark.parametrize("file", ["config.env", "secrets.env"])
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("MODELYARD_API_PROT=9000", "MODELYARD_API_PROT is not a setting: did you mean MODELYARD_API_PORT?"),
        ("API_PORT=9000", "API_PORT is not a setting: did you mean MODELYARD_API_PORT?"),
        ("API_KEYS=", "API_KEYS is not a setting: did you mean MODELYARD_API_KEYS?"),
        ("JUPYTER_TOKEN=x", "JUPYTER_TOKEN is not a setting: did you mean MODELYARD_JUPYTER_TOKEN?"),
        ("VERSION=1", "VERSION is not a setting: did you mean MODELYARD_VERSION?"),
        ("MODELYARD_LOGS=x", "MODELYARD_LOGS is not a setting: "),
    ],
)
def test_in_a_file_of_settings_it_is_an_error_and_so_is_a_name_without_the_prefix(
    file: str, line: str, meant: str
) -> None:
    write(file, f"MODELYARD_MLFLOW_PORT=9001\n{line}\n")
    with pytest.raises(BadInput, match=re.escape(f"{file}: {meant}")):
        read_settings()


def test_what_is_somebody_elses_in_a_file_of_settings_is_left_alone() -> None:
    write("config.env", "COMPOSE_PROJECT_NAME=mine\nHTTPS_PROXY=http://proxy\nHOME=/home/me\nMODELYARD_API_PORT=9001\n")
    write("secrets.env", "POSTGRES_PASSWORD=own\nMINIO_ROOT_PASSWORD=own\nMODELYARD_PIPELINE_PASSWORD=own\n")
    assert read_settings().api_port == 9001


def test_what_compose_hands_over_of_the_files_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    """Compose itself says nothing of a name that it does not use: with API_KEYS, the API would take every request."""
    done = run("make-secrets", "--into", str(tmp_path), API_KEYS="0" * 64)
    assert done.returncode == 2
    assert done.stderr.startswith("error: config.env or secrets.env: ")
    assert "API_KEYS is not a setting: did you mean MODELYARD_API_KEYS?" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_compose_hands_over_is_all_right_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WITHOUT_PREFIX:
        monkeypatch.delenv(name, raising=False)
    lines = (REPOSITORY / "config.env").read_text(encoding="utf-8").splitlines()
    for name, _, value in (line.partition("=") for line in lines if line and not line.startswith("#")):
        monkeypatch.setenv(name, value)
    check_handed_over_names()
    check_variables()


def test_in_the_shell_a_name_without_the_prefix_is_somebody_elses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_PORT", "9001")
    monkeypatch.setenv("API_KEY", "of another service")
    monkeypatch.setenv("BIND_ADDRESS", "0.0.0.0")  # noqa: S104 (not bound)
    check_variables()
    settings = read_settings()
    assert (settings.api_port, settings.api_key, settings.bind_address) == (8086, None, "127.0.0.1")


def test_in_a_service_it_is_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODELYARD_API_PROT", "9000")
    log_variables()
    assert caplog.record_tuples == [
        ("modelyard.settings", logging.WARNING, "MODELYARD_API_PROT is not a setting: did you mean MODELYARD_API_PORT?")
    ]


# Of Services called modelyard-api and modelyard.
INJECTED = {
    "MODELYARD_API_SERVICE_HOST": "10.0.0.1",
    "MODELYARD_API_SERVICE_PORT": "8086",
    "MODELYARD_API_SERVICE_PORT_HTTP": "8086",
    "MODELYARD_API_PORT": "tcp://10.0.0.1:8086",
    "MODELYARD_API_PORT_8086_TCP": "tcp://10.0.0.1:8086",
    "MODELYARD_API_PORT_8086_TCP_PROTO": "tcp",
    "MODELYARD_API_PORT_8086_TCP_PORT": "8086",
    "MODELYARD_API_PORT_8086_TCP_ADDR": "10.0.0.1",
    "MODELYARD_SERVICE_HOST": "10.0.0.2",
    "MODELYARD_PORT": "tcp://10.0.0.2:80",
    "MODELYARD_PORT_80_TCP_ADDR": "10.0.0.2",
    "MODELYARD_MINIO_PORT": "tcp://10.0.0.3:9000",
}


def test_what_kubernetes_says_of_a_service_never_reaches_a_setting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, value in INJECTED.items():
        monkeypatch.setenv(name, value)
    write("config.env", "MODELYARD_API_PORT=9001\n")
    check_variables()
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == [
        "MODELYARD_API_PORT=tcp://10.0.0.1:8086",
        "MODELYARD_MINIO_PORT=tcp://10.0.0.3:9000",
    ]
    # As if it were not set: the next place counts.
    assert read_settings().api_port == 9001
    assert Administration().minio_port == 8081


def test_a_setting_may_be_such_an_address_and_a_port_a_number() -> None:
    assert not is_injected("MODELYARD_STEP_ENGINE_URL", "tcp://socket-proxy:2375")
    assert not is_injected("MODELYARD_API_PORT", "8086")
    assert not any(is_injected(name, None) for name in SETTINGS_VARIABLES | INTERNAL_VARIABLES)


def test_what_one_process_tells_another_has_a_name_that_exists() -> None:
    told = settings_environment(Settings(_env_file=None)) | step_environment(Settings(_env_file=None))
    assert set(told) <= SETTINGS_VARIABLES | INTERNAL_VARIABLES
    assert not {name for name in bare_environment() if name.startswith(PREFIX)}


def texts() -> dict[str, str]:
    """The code and what is written about it, by path."""
    files = [each for pattern in WRITTEN for each in REPOSITORY.glob(pattern) if "__pycache__" not in each.parts]
    paths = {file.relative_to(REPOSITORY).as_posix(): file for file in files if file.is_file()}
    return {path: file.read_text(encoding="utf-8") for path, file in paths.items() if not TOLD.fullmatch(path)}


def test_every_name_with_the_prefix_in_this_repository_exists() -> None:
    known = SETTINGS_VARIABLES | INTERNAL_VARIABLES | MISSPELT
    found = {
        (file, name)
        for file, text in texts().items()
        # What ends with an underscore is the beginning of several.
        for name in re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", text)
    }
    assert {each for each in found if each[1] not in known and not is_injected(each[1], None)} == set()


def test_no_text_in_this_repository_names_a_setting_without_its_prefix() -> None:
    # Others have a variable of that name, or it is a word of its own.
    word = re.compile(rf"\b({'|'.join(sorted(WITHOUT_PREFIX - {'JUPYTER_TOKEN', 'VERSION'}))})\b")
    found = {file: set(word.findall(text)) - OTHER_THINGS.get(file, set()) for file, text in texts().items()}
    assert {file: names for file, names in found.items() if names} == {}


def test_every_internal_name_is_used() -> None:
    code = "".join(text for name, text in texts().items() if not name.startswith("src/modelyard/variables"))
    unused = {name for name in INTERNAL_VARIABLES if name not in code and name != STARTED_BY}
    assert unused == set()


def test_the_variable_of_a_setting_is_found_by_any_way() -> None:
    assert variable_of("api_port") == "MODELYARD_API_PORT"
    assert variable_of("aws_endpoint_url") == "AWS_ENDPOINT_URL"

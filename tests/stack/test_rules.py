"""What holds for the compose files and the Dockerfiles, without an engine."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from engine_proxy import read_platform

from modelyard.admin.make_secrets import files_by_service
from modelyard.catalog import read_catalog
from modelyard.settings import SECRETS_FOLDER, STEP_SETTINGS, DatabasePasswords, Logins

REPOSITORY = Path(__file__).parents[2]
TEXT = (REPOSITORY / "docker" / "compose.yaml").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]
ONCE = {name for name, service in SERVICES.items() if service.get("restart") == "no"}
DOCKERFILE = REPOSITORY / "docker" / "Dockerfile"
BUILDS = {name: service["build"] for name, service in SERVICES.items() if "build" in service}
STAGES = dict(re.findall(r"^FROM \S+ AS ([\w-]+)$(.*?)(?=^FROM|\Z)", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL))
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z0-9_]+)(?::-([^}]*))?")
CONFIG = dict(
    line.split("=", 1) for line in (REPOSITORY / "config.env").read_text().splitlines() if re.match(r"[A-Z]", line)
)


def mentions(service: dict[str, Any]) -> set[str]:
    return {name for name, _ in VARIABLE.findall(str(service))}


def test_what_runs_once_is_what_sets_the_platform_up_and_commands() -> None:
    commands = {name for name, service in SERVICES.items() if service.get("profiles") == ["commands"]}
    assert commands == {"new"}
    assert {"secrets", "migrate", "upload", "airflow-init"} | commands == ONCE


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_what_runs_for_long_comes_back_and_says_how_it_is(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_dependency_has_the_condition_that_fits(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONCE else "service_healthy"
        assert how == {"condition": wanted}, other


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"secrets"}))
def test_nothing_starts_before_the_secrets_are_checked(name: str) -> None:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        before = SERVICES[waiting.pop()].get("depends_on", {})
        waiting += set(before) - seen
        seen |= set(before)
    assert "secrets" in seen


def test_ports_are_published_on_the_address_of_the_settings() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 8
    assert all(port.startswith("${BIND_ADDRESS:-127.0.0.1}:${") for port in ports)


def test_what_people_reach_knows_its_names() -> None:
    """MinIO and the balancer pass names on: the one checks keys, behind the other the API looks at the name."""
    reached = {name for name, service in SERVICES.items() if service.get("ports")} - {"minio", "balancer"}
    told = {
        name: str(service["environment"]["ALLOWED_HOSTS"]).split(",")
        for name, service in SERVICES.items()
        if "ALLOWED_HOSTS" in service.get("environment", {})
    }
    assert set(told) == reached | {"api-replica"}
    for name, names in told.items():
        assert {name, "${PUBLIC_HOST:-127.0.0.1}", "${ALLOWED_HOSTS:-}"} <= set(names), name


def test_every_default_is_the_one_that_is_documented() -> None:
    secrets = {name.upper(): field.default for name, field in DatabasePasswords.model_fields.items()}
    made = {name.upper() for name in Logins.model_fields}
    # Empty there: what is meant without Docker is another.
    without_default = {"API_KEY", "API_KEYS", "STEPS_EXTRA"}
    differ = {"STEP_RUNNER", "DATA_URL", "ACCEPTED_FILES_URL", "OBJECTS_URL", "USE_CASES_PATH", "API_LOG_FORMAT"}
    for name, default in VARIABLE.findall(TEXT):
        if name in secrets:
            assert default == secrets[name], name
        elif name in without_default | made:
            assert default == "", name
        elif name in differ:
            assert CONFIG[name] == "", name
        elif name != "COMPOSE_PROJECT_NAME":
            assert CONFIG[name] == default, name


def test_every_service_has_the_passwords_that_it_needs_and_no_other() -> None:
    passwords = {name.upper() for name in DatabasePasswords.model_fields}
    made = {name.upper() for name in Logins.model_fields}
    found = {name: mentions(service) & (passwords | made) for name, service in SERVICES.items()}
    assert {name: names for name, names in found.items() if names} == {
        "secrets": passwords | made,
        "postgres": {"POSTGRES_PASSWORD"},
        "migrate": passwords,
        "mlflow": {"MLFLOW_DATABASE_PASSWORD"},
        "airflow-init": {"AIRFLOW_DATABASE_PASSWORD"},
        "airflow-apiserver": {"AIRFLOW_DATABASE_PASSWORD"},
        "airflow-dag-processor": {"AIRFLOW_DATABASE_PASSWORD"},
        "airflow-scheduler": {"AIRFLOW_DATABASE_PASSWORD", "PIPELINE_PASSWORD"},
        "api": {"API_PASSWORD"},
        "api-replica": {"API_PASSWORD"},
        "jupyter": {"EXPLORER_PASSWORD"},
    }


def test_every_service_has_the_files_of_its_own_secrets_and_of_no_other() -> None:
    folder = SECRETS_FOLDER.as_posix()
    volumes = {
        name: [v for v in service.get("volumes", []) if "secrets" in str(v)] for name, service in SERVICES.items()
    }
    reading = {
        "airflow-init": "airflow",
        "airflow-scheduler": "steps",
        "jupyter": "jupyter",
        "minio": "minio",
        "mlflow": "mlflow",
        "upload": "upload",
    }
    handed_over = files_by_service(dict.fromkeys(Logins.model_fields, "a secret"))
    writing = ["secrets:/secrets/all", *(f"secrets-{name}:/secrets/{name}" for name in handed_over)]
    wanted = {name: [f"secrets-{one}:{folder}:ro"] for name, one in reading.items()} | {"secrets": writing}
    assert {name: each for name, each in volumes.items() if each} == wanted
    assert set(reading.values()) == set(handed_over)


def test_what_is_given_as_a_file_is_read_from_where_it_lies() -> None:
    files = files_by_service(dict.fromkeys(Logins.model_fields, "a secret"))
    named = {Path(path) for path in re.findall(r"_(?:PASSWORD|TOKEN|CREDENTIALS)_FILE: (\S+)", TEXT)}
    assert {path.parent for path in named} == {SECRETS_FOLDER}
    assert {path.name for path in named} <= {name for each in files.values() for name in each}


def test_the_scheduler_has_every_setting_of_a_step() -> None:
    given = set(SERVICES["airflow-scheduler"]["environment"])
    handed_over = files_by_service(dict.fromkeys(Logins.model_fields, "a secret"))["steps"]
    assert {name.lower() for name in given} | set(handed_over) >= STEP_SETTINGS


def test_a_step_may_run_in_the_image_of_any_extra_and_in_no_other() -> None:
    given = SERVICES["socket-proxy"]["environment"]
    image = SERVICES["airflow-scheduler"]["environment"]["STEP_IMAGE"]
    extras = {use_case.extra for use_case in read_catalog().use_cases.values() if use_case.extra}
    for extra in extras:
        assert given[f"STEP_{extra.upper()}_IMAGE"] == image.replace("modelyard-steps:", f"modelyard-steps-{extra}:")
        assert (REPOSITORY / "requirements" / f"steps-{extra}.txt").exists()
        assert (REPOSITORY / "requirements" / f"local-{extra}.txt").exists()
    # The proxy takes every variable of that form.
    images = {value for name, value in given.items() if name.endswith("_IMAGE")}
    assert set(read_platform(given).images) == images
    assert len(images) == 1 + len(extras)


def test_the_proxy_knows_the_network_the_volume_and_the_place_that_the_scheduler_asks_for() -> None:
    asked = SERVICES["airflow-scheduler"]["environment"]
    platform = read_platform(SERVICES["socket-proxy"]["environment"])
    assert platform.network == asked["STEP_NETWORK"]
    assert platform.volume == asked["STEP_USE_CASES_VOLUME"]
    assert platform.use_cases_path == asked["USE_CASES_PATH"]


def test_only_the_proxy_has_the_engines_socket_and_only_the_scheduler_reaches_the_proxy() -> None:
    assert [name for name, service in SERVICES.items() if "docker.sock" in str(service)] == ["socket-proxy"]
    on_its_network = {name for name, service in SERVICES.items() if "socket" in service.get("networks", [])}
    assert on_its_network == {"airflow-scheduler", "socket-proxy"}
    proxy = SERVICES["socket-proxy"]
    assert proxy["networks"] == ["socket"]
    assert (proxy["cap_drop"], proxy["read_only"]) == (["ALL"], True)
    assert "ports" not in proxy


def test_images_are_pinned_by_a_tag_of_their_own() -> None:
    assert not re.search(r":latest|@sha256|container_name", TEXT)
    for name in ("PYTHON_IMAGE", "POSTGRES_IMAGE", "HAPROXY_IMAGE", "MINIO_IMAGE"):
        assert re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", CONFIG[name]), name


def test_an_image_is_made_as_all_are() -> None:
    lines = DOCKERFILE.read_text(encoding="utf-8").splitlines()
    text = "\n".join(lines)
    assert "# syntax=" not in text
    assert not re.search(r"\b(curl|apt-get|wget)\b", text)
    base = re.search(r"^ARG (\w+_IMAGE)=(\S+)$", text, re.MULTILINE)
    assert base
    assert CONFIG[base[1]] == base[2]
    stages = set(re.findall(r" AS ([\w-]+)$", text, re.MULTILINE))
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) <= stages | {f"${{{base[1]}}}"}
    assert all(line.split(" ", 1)[1].startswith("[") for line in lines if re.match("CMD|ENTRYPOINT", line))


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_an_image_does_not_run_as_root_unless_it_has_the_engines_socket(name: str) -> None:
    users = re.findall(r"^USER (.*)$", STAGES[BUILDS[name]["target"]], re.MULTILINE)
    assert users[-1] == ("root" if name == "socket-proxy" else "10001:10001")


@pytest.mark.parametrize("extra", ["", "-tensorflow"])
@pytest.mark.parametrize("step_runner", ["docker", "process"])
def test_the_libraries_of_an_image_are_a_list_that_is_there(step_runner: str, extra: str) -> None:
    values = {"STEP_RUNNER": step_runner, "STEPS_EXTRA": extra}
    wanted = [build["args"]["LIST"] for build in BUILDS.values() if "LIST" in build["args"]]
    for name in (re.sub(r"\$\{(\w+):-\w*\}", lambda found: values[found[1]], each) for each in wanted):
        assert (REPOSITORY / "requirements" / f"{name}.txt").exists(), name


def test_libraries_come_from_hashed_lists_and_not_with_the_code() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    installs = re.findall(r"pip install .*", text)
    assert all("--require-hashes" in line or "--no-deps /dist" in line for line in installs)
    assert "COPY src" not in STAGES["libraries"]
    assert STAGES["package"].count("pip install") == 1


def test_nothing_goes_into_an_image_that_is_not_named() -> None:
    rules = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    assert not any("env" in rule for rule in rules)


def test_the_secrets_are_read_from_a_file_that_git_ignores() -> None:
    link = REPOSITORY / "docker" / "secrets" / ".env"
    assert link.is_symlink()
    assert link.readlink() == Path("../../secrets.env")
    assert "secrets.env" in (REPOSITORY / ".gitignore").read_text().splitlines()

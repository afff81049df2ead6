"""The names of environment variables: that of each setting, what else is ours, and what only looks like it."""

import difflib
import re
from collections.abc import Collection

PREFIX = "MODELYARD_"
# Settings under the name by which other programs know them, too.
CONVENTIONAL = frozenset(
    {
        "aws_access_key_id",
        "aws_default_region",
        "aws_endpoint_url",
        "aws_secret_access_key",
        "minio_root_password",
        "minio_root_user",
        "mlflow_tracking_uri",
        "postgres_password",
    }
)
# What compose alone reads.
COMPOSE_VARIABLES = frozenset(
    {
        "MODELYARD_API_BALANCER_PORT",
        "MODELYARD_DOCKER_SOCKET",
        "MODELYARD_HAPROXY_IMAGE",
        "MODELYARD_HOST_GID",
        "MODELYARD_HOST_UID",
        "MODELYARD_IMAGE_REGISTRY",
        "MODELYARD_MINIO_IMAGE",
        "MODELYARD_POSTGRES_IMAGE",
        "MODELYARD_PYTHON_IMAGE",
        "MODELYARD_STEPS_EXTRA",
        "MODELYARD_VERSION",
    }
)
# That a step was started by Airflow, and by no person who could read an error and try again.
STARTED_BY = "MODELYARD_STARTED_BY"
# What our processes tell each other. Nobody sets it by hand.
INTERNAL_VARIABLES = frozenset(
    {
        STARTED_BY,
        "MODELYARD_API_RAW_DATABASE_URL",
        "MODELYARD_EXPLORER_CLEAN_DATABASE_URL",
        "MODELYARD_EXPLORER_RAW_DATABASE_URL",
        "MODELYARD_LOGS",
        "MODELYARD_PROCESSES_OF",
        "MODELYARD_REPOSITORY",
        "MODELYARD_STEP_TENSORFLOW_IMAGE",
        "MODELYARD_TRACKING_SERVER_OF",
    }
)
# What Kubernetes sets in every container for a Service that is called modelyard or modelyard-…
# (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables).
_SERVICE = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.ASCII
)
_SERVICE_PORT = re.compile(rf"{PREFIX}(\w+_)?PORT", re.ASCII)
_SERVICE_ADDRESS = re.compile("(tcp|udp|sctp)://.*")


def variable_of(setting: str) -> str:
    """The environment variable of a setting, by the setting's name in Python."""
    name = setting.upper()
    return name if setting in CONVENTIONAL or name.startswith(PREFIX) else f"{PREFIX}{name}"


def is_injected(variable: str, value: str | None) -> bool:
    """Whether a variable is Kubernetes' description of a Service; one of a port may have a setting's name."""
    described = _SERVICE_PORT.fullmatch(variable) and _SERVICE_ADDRESS.fullmatch(value or "")
    return bool(described or _SERVICE.fullmatch(variable))


def explain_unknown(variable: str, known: Collection[str]) -> str:
    """That a variable is no setting, in a sentence with the one that was probably meant."""
    # Without the prefix, which makes all of them alike.
    by_rest = {name.removeprefix(PREFIX): name for name in known}
    near = difflib.get_close_matches(variable.removeprefix(PREFIX), by_rest, n=1)
    return f"{variable} is not a setting: " + (
        f"did you mean {by_rest[near[0]]}?" if near else "config.env lists them all"
    )

"""The secrets of the platform in containers: made at the first start, handed to each service, and shown to people."""

from collections.abc import Mapping
from pathlib import Path

from modelyard.errors import BadInput
from modelyard.logins import check_secrets, keep_secret
from modelyard.settings import Administration, DatabasePasswords, Logins

# Read by the services that are not ours as well, each under a user of its own. Nobody else has the volume they are on.
READABLE = 0o444
AIRFLOW = ("airflow_password", "airflow_fernet_key", "airflow_jwt_secret", "airflow_secret_key")
MINIO = ("minio_root_password", "mlflow_s3_secret_key", "data_s3_secret_key")


def make_secrets(administration: Administration, folder: Path) -> list[str]:
    """Makes what is missing, and hands each service what it needs and nothing else.

    Args:
        administration: The secrets that are given, and where the services answer.
        folder: Has a folder for each service that gets secrets, and one, `all`, in which all of them are kept.

    Returns:
        How people get in, a line for each service.

    Raises:
        BadInput: A secret is known to everybody that may not be, or the folders cannot be written.
    """
    given = administration.model_dump(include=set(Logins.model_fields))
    check_secrets(
        administration.bind_address, given, administration.model_dump(include=set(DatabasePasswords.model_fields))
    )
    try:
        secrets = {name: keep_secret(folder / "all", name, secret) for name, secret in given.items()}
        for service, files in files_by_service(secrets).items():
            for name, content in files.items():
                _hand_over(folder / service / name, content)
    except OSError as error:
        raise BadInput(f"the secrets cannot be kept in {folder}: {error}") from error
    return logins(administration, {name: secrets[name] for name in given if given[name] is None})


def files_by_service(secrets: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """What each service finds in its folder of secrets, by the names that it looks for.

    Args:
        secrets: Of the platform, by the names of their settings.
    """
    data_key = secrets["data_s3_secret_key"]
    return {
        "airflow": {name: secrets[name] for name in AIRFLOW},
        "steps": {"aws_secret_access_key": data_key},
        "minio": {"minio_root_password": secrets["minio_root_password"]},
        "upload": {name: secrets[name] for name in MINIO},
        "mlflow": {"aws_credentials": _aws_credentials("mlflow", secrets["mlflow_s3_secret_key"])},
        "jupyter": {"jupyter_token": secrets["jupyter_token"], "aws_credentials": _aws_credentials("data", data_key)},
    }


def logins(administration: Administration, made: Mapping[str, str]) -> list[str]:
    """How people get in, a line for each service.

    Args:
        administration: Where the services answer.
        made: The secrets that were made. Those that a person has chosen are not shown.
    """

    def shown(name: str) -> str:
        return made.get(name, f"the {name.upper()} of secrets.env")

    host = f"http://{administration.public_host}"
    token = (
        f"{host}:{administration.jupyter_port}/lab/tree/notebooks?token={made['jupyter_token']}"
        if "jupyter_token" in made
        else shown("jupyter_token")
    )
    rows = (
        ("Airflow", administration.airflow_port, f"{administration.airflow_user} / {shown('airflow_password')}"),
        ("JupyterLab", administration.jupyter_port, token),
        (
            "MinIO console",
            administration.minio_console_port,
            f"{administration.minio_root_user} / {shown('minio_root_password')}",
        ),
        ("MinIO, S3", administration.minio_port, f"data / {shown('data_s3_secret_key')}"),
    )
    return [f"log into {service} ({host}:{port}): {login}" for service, port, login in rows]


def _aws_credentials(user: str, key: str) -> str:
    """The file that clients of S3 read their key from."""
    return f"[default]\naws_access_key_id = {user}\naws_secret_access_key = {key}\n"


def _hand_over(file: Path, content: str) -> None:
    unfinished = file.with_name(f".{file.name}")
    unfinished.write_text(content, encoding="utf-8")
    unfinished.chmod(READABLE)
    unfinished.replace(file)

"""The secrets that open a published port: made at random where none is given, kept, and never one that is known.

A port that is published on 127.0.0.1 only is reached by every page that a browser on this machine shows, and by every
user of the machine. So a laptop needs secrets as much as a server does.
"""

import base64
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from tempfile import NamedTemporaryFile

from modelyard.errors import BadInput

RANDOM_BYTES = 16
KEY_BYTES = 32

# What is or was a default here, and what the servers' own makers take where nothing is set: everybody can look it up.
KNOWN_SECRETS = frozenset(
    {
        "admin",
        "airflow",
        "api",
        "bW9kZWx5YXJkLW9uLWEtbGFwdG9wLW9ubHktMDAwMDA=",
        "explorer",
        "minioadmin",
        "mlflow",
        "modelyard",
        "modelyard-data",
        "modelyard-minio",
        "modelyard-mlflow",
        "modelyard-on-a-laptop-only",
        "modelyard-on-a-laptop-only-modelyard-on-a-laptop-only-0123456789",
        "pipeline",
        "postgres",
    }
)


def check_secrets(bind_address: str, logins: Mapping[str, str | None], others: Mapping[str, str]) -> None:
    """Lets a platform start whose secrets fit where it listens: every way to start it asks here.

    Args:
        bind_address: Where the platform's ports are published.
        logins: The secrets that open a published port, as they were given; None: one will be made.
        others: Those that open no published port.

    Raises:
        BadInput: One is known to everybody that may not be; the message names it.
    """
    if known := _known(logins):
        raise BadInput(f"{known}: everybody knows this value. Leave it out, and a secret is made at random")
    if not is_loopback(bind_address) and (known := _known(others)):
        raise BadInput(
            f"BIND_ADDRESS={bind_address} opens the platform to the network with the default of {known}: "
            "`make secrets` makes secrets of your own"
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there.

    Raises:
        BadInput: It is no address.
    """
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError as error:
        raise BadInput(f"BIND_ADDRESS={address} is no address") from error


def keep_secret(folder: Path, name: str, given: str | None) -> str:
    """The secret of that name: the one that is given, else the one that is kept, else one that is made now.

    Args:
        folder: Holds a file for each secret; made when it is not there.
        name: Of the secret, as the setting is called.
        given: Is kept in place of what was there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / name
    if given is None:
        with suppress(FileNotFoundError):
            return file.read_text(encoding="utf-8")
        # Of several processes that start at once, one makes it.
        with suppress(FileExistsError):
            _write_with(os.link, file, _MADE_BY.get(name, _make_text)())
        return file.read_text(encoding="utf-8")
    _write_with(os.replace, file, given)
    return given


def _known(values: Mapping[str, str | None]) -> str:
    return ", ".join(name.upper() for name, value in values.items() if value in KNOWN_SECRETS)


def _write_with(put: Callable[[str, Path], None], file: Path, secret: str) -> None:
    """Writes a file that its owner alone can read, and that is never there half."""
    with NamedTemporaryFile(
        "w", dir=file.parent, prefix=f".{file.name}-", encoding="utf-8", delete=False
    ) as unfinished:
        unfinished.write(secret)
    try:
        put(unfinished.name, file)
    finally:
        Path(unfinished.name).unlink(missing_ok=True)


def _make_text() -> str:
    return secrets.token_hex(RANDOM_BYTES)


def _make_fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


def _make_key() -> str:
    return secrets.token_hex(KEY_BYTES)


_MADE_BY: Mapping[str, Callable[[], str]] = {
    "airflow_fernet_key": _make_fernet_key,
    "airflow_jwt_secret": _make_key,
    "airflow_secret_key": _make_key,
}

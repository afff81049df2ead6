"""Refuses default secrets where others reach the platform."""

from ipaddress import ip_address

from modelyard.errors import BadInput
from modelyard.settings import Administration, Secrets


def check_secrets(administration: Administration) -> None:
    """Lets a platform start whose secrets fit where it listens.

    Raises:
        BadInput: It is open to the network with default secrets; the message names them.
    """
    defaults = default_secrets(administration)
    if defaults and not is_loopback(administration.bind_address):
        raise BadInput(
            f"BIND_ADDRESS={administration.bind_address} opens the platform to the network with the default of "
            f"{', '.join(defaults)}: `make secrets` makes some of its own"
        )


def default_secrets(secrets: Secrets) -> list[str]:
    """The secrets that are as everybody can read in the sources, by the name of their variable."""
    return [name.upper() for name, field in Secrets.model_fields.items() if getattr(secrets, name) == field.default]


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if address == "localhost":
        return True
    try:
        return ip_address(address).is_loopback
    except ValueError as error:
        raise BadInput(f"BIND_ADDRESS={address} is no address") from error

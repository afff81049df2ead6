"""Whether the libraries are there that a use case's training needs besides those of every step."""

from importlib.metadata import PackageNotFoundError, distribution, requires

from packaging.requirements import Requirement

from modelyard.errors import BadInput
from modelyard.use_case import UseCase

PACKAGE = "modelyard"


def check_extra(use_case: UseCase) -> None:
    """Returns when the libraries of the use case's extra are installed here.

    Raises:
        BadInput: They are not; the message says how they come.
    """
    if use_case.extra is None:
        return
    missing = missing_of(use_case.extra)
    if missing:
        raise BadInput(
            f"training {use_case.name} needs the extra {use_case.extra}, and {', '.join(missing)} cannot be found "
            f"here: run `make {use_case.extra}`; under compose, `make images-{use_case.extra}`"
        )


def missing_of(extra: str) -> list[str]:
    """The distributions of one of this package's extras that are not installed."""
    return [name for name in distributions_of(extra) if not _is_installed(name)]


def distributions_of(extra: str) -> list[str]:
    """The distributions that one of this package's extras consists of on a machine like this one."""
    wanted = [Requirement(line) for line in requires(PACKAGE) or []]
    return [each.name for each in wanted if _belongs(each, extra)]


def _belongs(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True

"""What can go wrong, in one hierarchy. A class's docstring is its message when none is given."""

import errno


class ModelyardError(Exception):
    """Modelyard could not do what was asked."""

    exit_code = 1

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class BadInput(ModelyardError):
    """What was given cannot be used as it is."""

    exit_code = 2


class UnknownUseCase(BadInput):
    """There is no use case of that name."""


class ContractChanged(BadInput):
    """The use case's contract no longer fits the tables made from it."""


class Refused(ModelyardError):
    """The gate refused the model."""

    exit_code = 3


class NothingToWorkOn(ModelyardError):
    """The step before this one has left nothing to work on."""


class ServiceUnavailable(ModelyardError):
    """A service that this step needs does not answer."""


class StepFailed(ModelyardError):
    """The step could not be finished."""


class NoSpaceLeft(StepFailed):
    """The disk is full."""

    @classmethod
    def of(cls, error: OSError) -> "NoSpaceLeft | None":
        """As an error of the system says it; None: it says something else."""
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            return None
        where = f"in {error.filename}" if error.filename else "on the disk"
        return cls(f"no space left {where}: {error.strerror}")


class UnusableModel(StepFailed):
    """The model's files cannot be used."""

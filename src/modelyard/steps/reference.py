"""The best version ever promoted: the reference that does not move when production does."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from modelyard.contract import Contract
from modelyard.steps.platform import Platform
from modelyard.usecase import UseCase


class Reference(NamedTuple):
    """What models are compared with beside the version in production.

    Attributes:
        version: Its number; None: there is none.
        notes: Why it is no better one, a sentence each.
    """

    version: int | None
    notes: tuple[str, ...] = ()


def find_reference(use_case: UseCase, platform: Platform, contract: Contract) -> Reference:
    """The best version ever promoted of those that a model of this contract can be compared with.

    Args:
        use_case: The use case.
        platform: The stores.
        contract: The model's. Versions whose clients it would break are passed over.
    """
    there = {version.number for version in platform.registry.versions(use_case.name)}
    notes: list[str] = []
    for number in platform.verdicts.best_first(use_case.name):
        if number not in there:
            notes.append(f"version {number}, which would be the reference, was removed from the registry")
            continue
        changes = contract_of(use_case, platform, number).breaking_changes(contract)
        if not changes:
            return Reference(number, tuple(notes))
        notes.append(f"version {number} would be the reference, and cannot be compared: {'; '.join(changes)}")
    return Reference(None, tuple(notes))


def contract_of(use_case: UseCase, platform: Platform, version: int) -> Contract:
    """The contract that a version carries."""
    from modelyard.models.compiled import CONTRACT_FILE

    with TemporaryDirectory() as folder:
        path = platform.registry.download(use_case.name, version, Path(folder), (CONTRACT_FILE,)) / CONTRACT_FILE
        return Contract.model_validate_json(path.read_bytes())

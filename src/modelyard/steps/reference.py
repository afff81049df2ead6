"""The best version ever promoted: the reference that does not move when production does."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from modelyard.contract import Contract
from modelyard.errors import StepFailed
from modelyard.steps.stores import Platform
from modelyard.use_case import UseCase

if TYPE_CHECKING:
    from modelyard.models.onnx.compiled import CompiledModel


class Reference(NamedTuple):
    """What models are compared with besides the version in production.

    Attributes:
        version: Its number; None: there is none.
        model: The model.
        notes: Why versions that come before it in the order were passed over, a sentence each.
    """

    version: int | None = None
    model: "CompiledModel | None" = None
    notes: tuple[str, ...] = ()


def find_reference(
    use_case: UseCase, platform: Platform, contract: Contract, objection: Callable[[int], str] = lambda _: ""
) -> Reference:
    """The best version ever promoted of those that a model of this contract can be compared with.

    Args:
        use_case: The use case.
        platform: The stores.
        contract: The model's. Versions whose clients it would break are passed over.
        objection: Says why a version cannot be compared for another reason; empty: it can.
    """
    there = {version.number for version in platform.registry.versions(use_case.name)}
    notes: list[str] = []
    for number in platform.verdicts.best_first(use_case.name):
        found = _comparable(use_case, platform, number, contract) if number in there else "it was removed"
        found = found if isinstance(found, str) else objection(number) or found
        if not isinstance(found, str):
            return Reference(number, found, tuple(notes))
        notes.append(f"version {number} would be the reference, and cannot be compared: {found}")
    return Reference(notes=tuple(notes))


def _comparable(use_case: UseCase, platform: Platform, version: int, contract: Contract) -> "CompiledModel | str":
    """The model of a version, or why none of this contract can be compared with it."""
    from modelyard.steps.models import load_compiled

    try:
        model = load_compiled(platform, use_case.name, version)
    except StepFailed as error:
        return str(error)
    return "; ".join(model.contract.breaking_changes(contract)) or model

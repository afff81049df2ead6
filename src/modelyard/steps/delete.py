"""Deletes a use case: all that the platform has made of it. Its file and its source are the user's, and stay."""

import shutil

from modelyard.catalog import Catalog
from modelyard.contract import Frozen
from modelyard.errors import UnknownUseCase
from modelyard.steps.stores import Platform
from modelyard.stores.deletion import data_names, delete_data, delete_rows
from modelyard.stores.objects import ObjectStore


class Belongings(Frozen):
    """What a use case has.

    Attributes:
        use_case: Its name.
        data_names: What its records and snapshots are kept under.
        versions: Its versions in the registry.
        predictions: How many of its answers are kept.
    """

    use_case: str
    data_names: tuple[str, ...]
    versions: tuple[int, ...]
    predictions: int


def belongings(use_case: str, catalog: Catalog, platform: Platform) -> Belongings:
    """What a use case has, whether it is still declared or not.

    Args:
        use_case: Its name.
        catalog: The use cases that are declared.
        platform: The stores.

    Raises:
        UnknownUseCase: There is nothing of that name.
        ServiceUnavailable: A store does not answer.
    """
    others = {
        name
        for other in catalog.use_cases.values()
        if other.name != use_case
        for name in (other.name, *(f"{other.name}__{profile}" for profile in other.profiles))
    }
    names = data_names(platform.raw.engine, platform.clean.engine, use_case) - others
    versions = sorted(version.number for version in platform.registry.versions(use_case))
    predictions = platform.raw.counts(use_case)["predictions"]
    if use_case not in catalog.use_cases and not (names or versions or predictions):
        raise UnknownUseCase(f"there is no use case {use_case!r}, and nothing that one of this name has left")
    return Belongings(
        use_case=use_case, data_names=tuple(sorted(names)), versions=tuple(versions), predictions=predictions
    )


def delete_use_case(found: Belongings, platform: Platform) -> Belongings:
    """Deletes all that a use case has; what was interrupted can be done again.

    The versions go first, so that the API answers for it no longer; its answers go last.

    Returns:
        What was deleted.

    Raises:
        ServiceUnavailable: A store does not answer.
    """
    settings, use_case = platform.settings, found.use_case
    platform.registry.delete_use_case(use_case)
    shutil.rmtree(settings.home / "models" / use_case, ignore_errors=True)
    if settings.accepted_files_url:
        ObjectStore(settings.accepted_files_url).remove(use_case)
    for name in found.data_names:
        platform.objects.remove(name)
        delete_data(platform.raw.engine, platform.clean.engine, name)
    return found.model_copy(update={"predictions": delete_rows(platform.raw.engine, use_case)})

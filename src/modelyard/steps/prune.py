"""Removes versions and snapshots that are older than what the settings say to keep."""

from modelyard.contract import Frozen
from modelyard.steps.platform import Platform
from modelyard.stores.registry import CHALLENGER, PRODUCTION
from modelyard.usecase import UseCase


class PruneResult(Frozen):
    """What was removed.

    Attributes:
        versions: Numbers of the removed versions.
        snapshots: Ids of the removed snapshots.
    """

    versions: tuple[int, ...]
    snapshots: tuple[str, ...]


def prune(use_case: UseCase, platform: Platform) -> PruneResult:
    """Removes all but the newest versions and snapshots.

    The versions in production, before it, and at the gate are kept however old they are, and so are their snapshots.
    """
    versions = platform.registry.versions(use_case.name)
    production = platform.registry.aliased(use_case.name, PRODUCTION)
    needed = {production, platform.registry.aliased(use_case.name, CHALLENGER)}
    if production is not None:
        needed.add(platform.verdicts.before(use_case.name, production))
    newest = {version.number for version in versions[: platform.settings.keep_versions]}
    old = [version.number for version in versions if version.number not in newest | needed]
    for number in old:
        platform.registry.delete(use_case.name, number)
    kept = {version.tags.get("snapshot_id", "") for version in versions if version.number in needed}
    snapshots = platform.clean.prune(use_case.data_name, platform.settings.keep_snapshots, protect=kept)
    return PruneResult(versions=tuple(sorted(old)), snapshots=tuple(snapshots))

"""Removes versions, snapshots and predictions that are older than what the settings say to keep."""

from modelyard.contract import Frozen
from modelyard.steps.reference import find_reference
from modelyard.steps.stores import Platform
from modelyard.stores.objects import arrays_folder
from modelyard.stores.registry import CHALLENGER, PRODUCTION
from modelyard.use_case import UseCase


class PruneResult(Frozen):
    """What was removed.

    Attributes:
        versions: Numbers of the removed versions.
        snapshots: Ids of the removed snapshots.
        prediction_months: How many months of predictions were dropped, of all use cases.
    """

    versions: tuple[int, ...]
    snapshots: tuple[str, ...]
    prediction_months: int


def prune(use_case: UseCase, platform: Platform) -> PruneResult:
    """Removes all but the newest versions and snapshots, and the oldest months of predictions.

    The versions in production, before it, and at the gate are kept however old they are, and so are the best one ever
    promoted and the best one that models of the use case can be compared with, each with its snapshot.
    A snapshot of pictures goes with its arrays.
    Predictions are parted by month and not by use case: those of all use cases go together.
    """
    versions = platform.registry.versions(use_case.name)
    production = platform.registry.aliased(use_case.name, PRODUCTION)
    needed = {production, platform.registry.aliased(use_case.name, CHALLENGER)}
    # Also where the use case's contract does not fit it now: whoever takes the change back is judged beside it.
    needed.update(platform.verdicts.best_first(use_case.name)[:1])
    if production is not None:
        needed.add(platform.verdicts.before(use_case.name, production))
        needed.add(find_reference(use_case, platform, use_case.contract()).version)
    newest = {version.number for version in versions[: platform.settings.keep_versions]}
    old = [version.number for version in versions if version.number not in newest | needed]
    for number in old:
        platform.registry.delete(use_case.name, number)
    kept = {version.tags.get("snapshot_id", "") for version in versions if version.number in needed}
    snapshots = platform.clean.prune(use_case.data_name, platform.settings.keep_snapshots, protect=kept)
    for snapshot_id in snapshots if use_case.has_pictures else ():
        platform.objects.remove(arrays_folder(use_case.data_name, snapshot_id))
    months = platform.predictions.prune(platform.settings.keep_prediction_months)
    return PruneResult(versions=tuple(sorted(old)), snapshots=tuple(snapshots), prediction_months=months)

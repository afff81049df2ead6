"""Chooses the best of the candidates by answers to records that they were not fitted on; it becomes the challenger."""

import logging
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from modelyard.contract import Frozen
from modelyard.errors import Refused
from modelyard.objective import error_left
from modelyard.steps.stores import Platform
from modelyard.steps.train import TrainResult
from modelyard.stores.registry import CHALLENGER, PRODUCTION, PROFILE_TAG, SPLIT_TAG
from modelyard.use_case import UseCase

LOGGER = logging.getLogger(__name__)

# Times the lowest of all candidates.
MOST_LOG_LOSS = 1.01


class Tried(Protocol):
    """A candidate that was fitted, and how it did on records that it was not fitted on."""

    @property
    def validation(self) -> Mapping[str, float]:
        """Its metrics on these records."""


Some = TypeVar("Some", bound=Tried)


class CompareResult(Frozen):
    """Which candidate was chosen.

    Attributes:
        version: Its registered version.
        candidate: Its name.
        snapshot_id: The snapshot it was trained on.
        primary_metric: What it was chosen by.
        validation: The primary metric of each candidate, of answers to records that it was not fitted on.
        test: The chosen one's metrics on the test part.
        baseline: A dummy's metrics on the test part.
        excluded: Candidates that could not be chosen, with the reason.
        registered: Whether the version is new; else it was there already.
        in_production: Whether it is in production already.
    """

    version: int
    candidate: str
    snapshot_id: str
    primary_metric: str
    validation: dict[str, float]
    test: dict[str, float]
    baseline: dict[str, float]
    excluded: dict[str, str]
    registered: bool
    in_production: bool


def compare(use_case: UseCase, platform: Platform, pipeline_run: str | None) -> CompareResult:
    """Chooses among the candidates of a training, and gives the chosen one the alias `challenger`.

    Raises:
        NothingToWorkOn: Nothing was trained yet.
        Refused: No candidate's compiled form is the same model as its fitted one.
    """
    kept = platform.results.newest(use_case.name, "train", pipeline_run)
    trained = [TrainResult.model_validate(each.result) for each in kept]
    excluded = {each.candidate: _disagreement(each) for each in trained if not each.compiled_agrees}
    possible = [each for each in trained if each.compiled_agrees]
    if not possible:
        raise Refused(f"{use_case.name}: no candidate can be registered: {'; '.join(excluded.values())}")
    best = best_of(use_case.objective.metric, possible)
    before = {version.number for version in platform.registry.versions(use_case.name)}
    version = platform.registry.register(use_case.name, best.run_id, best.model_uri, _tags(use_case, best, platform))
    in_production = platform.registry.aliased(use_case.name, PRODUCTION) == version
    if not in_production:
        platform.registry.set_alias(use_case.name, CHALLENGER, version)
    compared = ", ".join(each.candidate for each in trained)
    LOGGER.info("of the candidates last trained (%s), %s is the best: version %d", compared, best.candidate, version)
    return CompareResult(
        version=version,
        candidate=best.candidate,
        snapshot_id=best.snapshot_id,
        primary_metric=best.primary_metric,
        validation={each.candidate: each.validation[each.primary_metric] for each in trained},
        test=best.test,
        baseline=best.baseline,
        excluded=excluded,
        registered=version not in before,
        in_production=in_production,
    )


def best_of(metric: str, tried: Sequence[Some]) -> Some:
    """The one with the best primary metric of those whose log loss is near the lowest.

    Who ranks best by a hair should not say worse probabilities. Regressions have none, nor have results of former
    releases.
    """
    losses = [each.validation.get("log_loss", 0.0) for each in tried]
    near = [each for each, loss in zip(tried, losses, strict=True) if loss <= MOST_LOG_LOSS * min(losses)]
    return min(near, key=lambda each: error_left(metric, each.validation[metric]))


def _disagreement(trained: TrainResult) -> str:
    difference = f"{trained.compiled_difference:.1e}"
    return f"{trained.candidate}: its compiled form differs from the fitted model by up to {difference}"


def _tags(use_case: UseCase, trained: TrainResult, platform: Platform) -> dict[str, str]:
    snapshot = platform.clean.find(use_case.data_name, trained.snapshot_id)
    of_split = {SPLIT_TAG: snapshot.parted.model_dump_json()} if snapshot and snapshot.parted else {}
    of_profile = {PROFILE_TAG: use_case.profile} if use_case.profile else {}
    return {
        **of_profile,
        **of_split,
        "candidate": trained.candidate,
        "snapshot_id": trained.snapshot_id,
        "fingerprint": trained.fingerprint,
        f"validation_{trained.primary_metric}": f"{trained.validation[trained.primary_metric]:.6f}",
    }

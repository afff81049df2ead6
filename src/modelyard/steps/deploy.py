"""Waits until every API process serves the version in production, and takes it back if one of them cannot."""

import logging
import time

from modelyard.contract import Frozen
from modelyard.errors import NothingToWorkOn, StepFailed
from modelyard.steps.promote import rollback
from modelyard.steps.stores import Platform
from modelyard.stores.processes import ApiProcess
from modelyard.stores.registry import PRODUCTION
from modelyard.use_case import UseCase

LOGGER = logging.getLogger(__name__)
ASK_EVERY_SECONDS = 0.5


class DeployResult(Frozen):
    """Who serves the version in production.

    Attributes:
        version: The version.
        processes: How many API processes serve it.
        message: The same in a sentence.
    """

    version: int
    processes: int
    message: str


def deploy(use_case: UseCase, platform: Platform) -> DeployResult:
    """Waits until every API process with a fresh heartbeat has proven and taken the version in production.

    Raises:
        NothingToWorkOn: No version is in production.
        StepFailed: A process could not prove the version, and the one before is back; or not all took it in time.
    """
    version = platform.registry.aliased(use_case.name, PRODUCTION)
    if version is None:
        raise NothingToWorkOn(f"{use_case.name} has no version in production: run `modelyard promote` first")
    settings = platform.settings
    end = time.monotonic() + settings.deploy_timeout_seconds
    while True:
        alive = platform.processes.alive(use_case.name, settings.api_heartbeat_fresh_seconds)
        _take_back_if_failed(use_case, platform, version, alive)
        behind = [process for process in alive if process.model_version != version]
        if not behind:
            return _served(use_case, version, len(alive))
        if time.monotonic() > end:
            raise StepFailed(_late(use_case, version, behind, settings.deploy_timeout_seconds))
        time.sleep(ASK_EVERY_SECONDS)


def _served(use_case: UseCase, version: int, processes: int) -> DeployResult:
    message = f"{use_case.name} version {version} answers in {processes} API process{'' if processes == 1 else 'es'}"
    if processes == 0:
        message = f"no API runs: {use_case.name} version {version} answers as soon as one is started"
    LOGGER.info(message)
    return DeployResult(version=version, processes=processes, message=message)


def _take_back_if_failed(use_case: UseCase, platform: Platform, version: int, alive: list[ApiProcess]) -> None:
    failed = [process for process in alive if process.target_version == version and process.self_test == "failed"]
    if not failed:
        return
    reason = f"{failed[0].host}, process {failed[0].pid}: {failed[0].detail}"
    before = platform.verdicts.before(use_case.name, version)
    if before is None:
        raise StepFailed(
            f"{use_case.name} version {version} failed its self-test, and there is none before it: {reason}"
        )
    rollback(use_case, platform, f"self-test failed: {reason}")
    raise StepFailed(f"{use_case.name} version {version} failed its self-test, version {before} is back: {reason}")


def _late(use_case: UseCase, version: int, behind: list[ApiProcess], seconds: float) -> str:
    names = ", ".join(f"process {process.pid} on {process.host} serves {process.model_version}" for process in behind)
    return f"{use_case.name} version {version} was not taken by all API processes within {seconds:g} s: {names}"

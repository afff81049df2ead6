"""Where a step runs: one factory, whatever MODELYARD_STEP_RUNNER says, and what its exit code means to Airflow."""

import sys
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import Asset, BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from modelyard.errors import BadInput, Refused
from modelyard.settings import Settings, child_environment
from modelyard.use_case import UseCase
from modelyard.variables import STARTED_BY

# What an asset's event tells the DAG that it starts.
KEY_IN_EVENT = "pipeline_run"
DAY_IN_EVENT = "day"
PIPELINE_RUN = "{{ pipeline_run(dag_run, triggering_asset_events) }}"
RUN_DAY = "{{ run_day(dag_run, triggering_asset_events) }}"

Events = Mapping[Any, Collection[Any]]


def step(
    settings: Settings,
    use_case: UseCase,
    name: str,
    *,
    task_id: str | None = None,
    options: Sequence[str] = (),
    updates: Asset | None = None,
) -> BaseOperator:
    """The task that runs a step where `settings` say.

    Args:
        settings: `step_runner` decides.
        use_case: Whose step it is.
        name: The step, as the command line knows it.
        task_id: Name of the task; None: the step's name.
        options: More options of the step, as templates; what renders to nothing is left out.
        updates: The asset whose consumers start when the step is done; its event carries the pipeline run's key.
    """
    task: dict[str, Any] = {"task_id": task_id or name, "outlets": [updates] if updates else []}
    arguments = [name, "--use-case", use_case.name, "--run", PIPELINE_RUN, *options]
    if settings.step_runner == "docker":
        # Only here: an Airflow that runs processes need not load the engine's client in each of them.
        from dags.step_container import StepContainer

        # Only training needs its libraries.
        extra = use_case.extra if name == "train" else None
        return StepContainer(settings=settings, arguments=arguments, extra=extra, **task)
    return StepProcess(arguments=arguments, **task)


def pipeline_run(dag_run: Any, triggering_asset_events: Events) -> str:
    """The key under which the steps of one pipeline run find each other's results.

    It is the run of the DAG that started it all: handed on in the events of the assets, so that every DAG of the
    chain uses the same one. A DAG that was started by hand starts a pipeline run of its own.
    """
    return _handed_on(triggering_asset_events, KEY_IN_EVENT) or f"{dag_run.dag_id}/{dag_run.run_id}"


def run_day(dag_run: Any, triggering_asset_events: Events) -> str:
    """The day of a pipeline run in UTC, as 2026-11-20.

    It is the logical date of the run that started it all, be it scheduled, chosen by hand or a backfill's; of one that
    has none, when it was due. What is done or tried again after midnight is still of that day.
    """
    began = dag_run.logical_date or dag_run.run_after
    return _handed_on(triggering_asset_events, DAY_IN_EVENT) or began.strftime("%Y-%m-%d")


def _handed_on(events: Events, name: str) -> str | None:
    """What the newest of the events that started a run says."""
    newest = max((each for of_asset in events.values() for each in of_asset), key=attrgetter("timestamp"), default=None)
    return newest.extra.get(name) if newest else None


def check_exit_code(exit_code: int, last_line: str) -> None:
    """Fails the task of a step that failed.

    Args:
        exit_code: What the step ended with.
        last_line: The last line that it wrote: `error: ` and its reason, in a sentence.

    Raises:
        GateRefused: The gate refused the model. It would refuse it again.
        AirflowFailException: The input is bad. It would be bad again.
        AirflowException: Anything else: it may go better next time.
    """
    if exit_code == 0:
        return
    reason = last_line.removeprefix("error: ") or f"the step ended with exit code {exit_code}"
    kinds = {Refused.exit_code: GateRefused, BadInput.exit_code: AirflowFailException}
    raise kinds.get(exit_code, AirflowException)(reason)


def tell_who_waits(task: BaseOperator, context: Context) -> None:
    """Hands the key and the day of the pipeline run on to the DAGs that wait for the task's assets."""
    run, events = context["dag_run"], context["triggering_asset_events"]
    key, day = pipeline_run(run, events), run_day(run, events)
    for asset in task.outlets:
        context["outlet_events"][asset].extra = {KEY_IN_EVENT: key, DAY_IN_EVENT: day}


class GateRefused(AirflowFailException):
    """The gate refused the model."""


class StepProcess(BaseOperator):
    """Runs a step as a process beside Airflow: same machine, same environment, same Python.

    Attributes:
        arguments: What follows `modelyard` on the command line; templates.
    """

    template_fields = ("arguments",)

    def __init__(self, *, arguments: Sequence[str], **task: Any) -> None:
        super().__init__(**task)
        self.arguments = arguments

    @cached_property
    def hook(self) -> SubprocessHook:
        """Runs the process and writes what it says into the task's log."""
        return SubprocessHook()

    def execute(self, context: Context) -> None:
        """Runs the step to its end and tells those who wait for its asset."""
        command = [str(Path(sys.executable).with_name("modelyard")), *filter(None, self.arguments)]
        # Settings are read from config.env in the working folder: that of the scheduler, not a temporary one.
        environment = child_environment({STARTED_BY: "airflow"})
        result = self.hook.run_command(command, env=environment, cwd=str(Path.cwd()))
        check_exit_code(result.exit_code, result.output)
        tell_who_waits(self, context)

    def on_kill(self) -> None:
        """Ends the step's process when its task is ended from outside."""
        self.hook.send_sigterm()  # type: ignore[no-untyped-call]

"""Where a step runs: one factory, whatever STEP_RUNNER says."""

import sys
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import Asset, BaseOperator, Context

from dags.step_outcome import PIPELINE_RUN, check_exit_code, tell_who_waits
from modelyard.settings import Settings
from modelyard.use_case import UseCase


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
        result = self.hook.run_command(command, cwd=str(Path.cwd()))
        check_exit_code(result.exit_code, result.output)
        tell_who_waits(self, context)

    def on_kill(self) -> None:
        """Ends the step's process when its task is ended from outside."""
        self.hook.send_sigterm()  # type: ignore[no-untyped-call]

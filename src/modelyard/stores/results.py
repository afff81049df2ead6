"""What the steps of a pipeline run say to each other: each writes its result, the next one reads it."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Engine

from modelyard.contract import Frozen
from modelyard.errors import NothingToWorkOn
from modelyard.stores.database import statement, transaction


class StepResult(Frozen):
    """What one step of one pipeline run came to.

    Attributes:
        pipeline_run: Key of the pipeline run.
        use_case: Name of the use case.
        step: Name of the step.
        part: Which of several parallel parts of the step, such as the candidate; empty when there is one only.
        result: The step's own result.
        seconds: How long the step took.
        finished_at: When it was done.
    """

    pipeline_run: str
    use_case: str
    step: str
    part: str
    result: dict[str, Any]
    seconds: float
    finished_at: datetime


class StepResults:
    """The table of step results."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(
        self, pipeline_run: str, use_case: str, step: str, result: BaseModel, seconds: float, part: str = ""
    ) -> None:
        """Writes a step's result; a step that is run again writes over its own."""
        row = {
            "pipeline_run": pipeline_run,
            "use_case": use_case,
            "step": step,
            "part": part,
            "result": result.model_dump_json(),
            "seconds": seconds,
        }
        with transaction(self._engine) as connection:
            connection.execute(statement("keep_step_result"), row)

    def of_run(self, pipeline_run: str, use_case: str) -> list[StepResult]:
        """All results of a pipeline run so far, the earliest first."""
        with transaction(self._engine) as connection:
            rows = connection.execute(
                statement("step_results_of_run"), {"pipeline_run": pipeline_run, "use_case": use_case}
            )
            return [StepResult(**row) for row in rows.mappings()]

    def newest(self, use_case: str, step: str, pipeline_run: str | None = None) -> list[StepResult]:
        """What a step came to, one result for each of its parts.

        Args:
            use_case: Name of the use case.
            step: The step.
            pipeline_run: The run that asks. When that run has not done the step, its newest results are taken: a run
                may start at any step.

        Raises:
            NothingToWorkOn: The step was never run for this use case.
        """
        with transaction(self._engine) as connection:
            rows = connection.execute(
                statement("newest_step_results"), {"use_case": use_case, "step": step, "pipeline_run": pipeline_run}
            )
            found = [StepResult(**row) for row in rows.mappings()]
        if not found:
            raise NothingToWorkOn(f"{use_case} has no result of the step {step!r} yet: run `modelyard {step}` first")
        return found

    def with_fingerprint(self, use_case: str, fingerprint: str) -> list[StepResult]:
        """Trainings of the same snapshot, parameters and code, the newest first."""
        with transaction(self._engine) as connection:
            rows = connection.execute(
                statement("trainings_with_fingerprint"), {"use_case": use_case, "fingerprint": fingerprint}
            )
            return [StepResult(**row) for row in rows.mappings()]

"""One pipeline run from the outside: started through Airflow's REST API and followed to its end, with a line a step."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from modelyard.demo.step_report import StepReport
from modelyard.errors import ModelyardError, Refused, ServiceUnavailable, StepFailed
from modelyard.native.airflow import AirflowClient, DagRun, TaskState
from modelyard.stores.results import StepResults
from modelyard.use_case import UseCase

DAGS = ("load_raw_data", "preprocess_data", "train_model")
# A new DAG file is seen within half a minute, and read within seconds.
DAGS_KNOWN_SECONDS = 90
NEXT_DAG_SECONDS = 60
DAG_SECONDS = 60 * 60
POLL_SECONDS = 0.3
# After so long a silence people are told what is under way.
SILENT_SECONDS = 10
GATE_REFUSED = "GateRefused"


class Loop:
    """A pipeline run of one use case."""

    def __init__(
        self,
        airflow: AirflowClient,
        results: StepResults,
        use_case: UseCase,
        say: Callable[[str], None],
        check: Callable[[], None],
    ) -> None:
        """Starts nothing yet.

        Args:
            airflow: Runs it.
            results: Where its steps leave their results.
            use_case: The use case.
            say: Is told of each step that is done, and of each attempt that failed.
            check: Raises when something that the loop needs has ended.
        """
        self._airflow = airflow
        self._results = results
        self._use_case = use_case
        self._tell_people = say
        self._check = check
        self._said: set[str] = set()
        self._silent_since = time.monotonic()
        self._key = ""
        self.steps: list[StepReport] = []

    def run(self, source: str | None, parsed_since: str) -> None:
        """Starts the loop and follows it to its end; `steps` fills.

        Args:
            source: File or URL of the records; None: what the use case says.
            parsed_since: The DAG files must have been read since then; a time in UTC, in ISO format.

        Raises:
            Refused: The gate refused the model.
            StepFailed: A step failed, or it takes too long. The message is the step's own.
        """
        dag_ids = [f"{self._use_case.name}.{name}" for name in DAGS]
        self._wait_until_known(dag_ids, parsed_since)
        with self._unpaused(dag_ids):
            chosen = {"source": source, "profile": self._use_case.profile}
            run = self._airflow.trigger(dag_ids[0], {name: value for name, value in chosen.items() if value})
            # As the DAGs make it for a run that was started by hand.
            self._key = f"{run.dag_id}/{run.run_id}"
            self._follow(run)
            for dag_id in dag_ids[1:]:
                run = self._started_by(run, dag_id)
                self._follow(run)

    def _wait_until_known(self, dag_ids: Sequence[str], parsed_since: str) -> None:
        deadline = time.monotonic() + DAGS_KNOWN_SECONDS
        while not all(self._airflow.is_parsed_since(dag_id, parsed_since) for dag_id in dag_ids):
            if time.monotonic() > deadline:
                errors = "; ".join(self._airflow.import_errors()) or "Airflow reports no error"
                raise StepFailed(f"Airflow does not know the DAGs of {self._use_case.name}: {errors}")
            self._pause()

    @contextmanager
    def _unpaused(self, dag_ids: Sequence[str]) -> Iterator[None]:
        """Lets runs of these DAGs go on, and afterwards wait again where they waited before."""
        paused = [dag_id for dag_id in dag_ids if self._airflow.is_paused(dag_id)]
        try:
            for dag_id in paused:
                self._airflow.pause(dag_id, paused=False)
            yield
        finally:
            with suppress(ServiceUnavailable):  # it would hide why the loop has failed
                for dag_id in paused:
                    self._airflow.pause(dag_id, paused=True)

    def _started_by(self, run: DagRun, dag_id: str) -> DagRun:
        """The run that the end of another one starts, after those of the same DAG that are under way."""
        deadline = time.monotonic() + NEXT_DAG_SECONDS
        while True:
            started = self._airflow.started_by(run, dag_id)
            if started:
                return started
            if self._airflow.is_busy(dag_id):
                deadline = time.monotonic() + NEXT_DAG_SECONDS
                self._say_once(f"waiting for a run of {dag_id} that was started before")
            elif time.monotonic() > deadline:
                raise StepFailed(f"{run.dag_id} is done, and Airflow has not started {dag_id}")
            self._pause()

    def _follow(self, run: DagRun) -> None:
        deadline = time.monotonic() + DAG_SECONDS
        while True:
            state = self._airflow.state(run)  # first, so that the tasks are at least as far
            tasks = self._airflow.tasks(run)
            for task in tasks:
                self._tell(run, task)
            self._say_what_runs(tasks)
            if state == "failed":
                raise self._error(run, tasks)
            if state == "success":
                return
            if time.monotonic() > deadline:
                raise StepFailed(f"{run.dag_id} is still {state} after {DAG_SECONDS // 60} minutes")
            self._pause()

    def _tell(self, run: DagRun, task: TaskState) -> None:
        if task.state == "up_for_retry":
            reason = self._airflow.failure(run, task).reason
            attempt = f"attempt {task.attempt} of {task.attempts}"
            self._say_once(f"{task.task_id} failed, {attempt}, the next one follows in 30 s: {reason}")
        if task.state == "success" and task.task_id not in (step.task_id for step in self.steps):
            self._add(task)

    def _say_what_runs(self, tasks: list[TaskState]) -> None:
        running = sorted(task.task_id for task in tasks if task.state == "running")
        if running and time.monotonic() - self._silent_since > SILENT_SECONDS:
            self._say(f"running: {', '.join(running)}")

    def _say(self, event: str) -> None:
        self._silent_since = time.monotonic()
        self._tell_people(event)

    def _say_once(self, event: str) -> None:
        if event not in self._said:
            self._said.add(event)
            self._say(event)

    def _add(self, task: TaskState) -> None:
        for kept in self._results.of_run(self._key, self._use_case.name):
            step = StepReport(kept.step, kept.part, task.seconds or kept.seconds, kept.result)
            if step.task_id == task.task_id:
                self.steps.append(step)
                self._say(f"{step.name} {step.part}".rstrip() + f": {step.sentence}")
                return
        raise StepFailed(f"{task.task_id} has succeeded in Airflow, and step_results does not have its result")

    def _error(self, run: DagRun, tasks: list[TaskState]) -> ModelyardError:
        failed = next((task for task in tasks if task.state == "failed"), None)
        if failed is None:
            return StepFailed(f"{run.dag_id} failed, and none of its tasks did: see Airflow's log")
        failure = self._airflow.failure(run, failed)
        if failure.kind != GATE_REFUSED:
            return StepFailed(f"{failed.task_id} failed: {failure.reason}")
        with suppress(StepFailed):  # the gate keeps its verdict also when it refuses; a candidate's refusal has none
            self._add(failed)
        return Refused(failure.reason)

    def _pause(self) -> None:
        self._check()
        time.sleep(POLL_SECONDS)

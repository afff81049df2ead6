"""What a step's end means to Airflow: to its task, and to the DAGs that wait for it."""

from collections.abc import Collection, Mapping
from operator import attrgetter
from typing import Any

from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from modelyard.errors import BadInput, Refused

# What an asset's event tells the DAG that it starts.
KEY_IN_EVENT = "pipeline_run"
DAY_IN_EVENT = "day"
PIPELINE_RUN = "{{ pipeline_run(dag_run, triggering_asset_events) }}"
RUN_DAY = "{{ run_day(dag_run, triggering_asset_events) }}"

Events = Mapping[Any, Collection[Any]]


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

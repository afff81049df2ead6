"""The use cases that Airflow can make DAGs of, and what is wrong with the others."""

from pathlib import Path
from typing import NamedTuple

from airflow.exceptions import AirflowTimetableInvalid
from airflow.timetables.trigger import CronTriggerTimetable

from modelyard.catalog import read_catalog
from modelyard.use_case import UseCase

# Schedules that are no cron expressions.
OTHER_SCHEDULES = (None, "@once", "@continuous")


class Found(NamedTuple):
    """What was found.

    Attributes:
        use_cases: The use cases that DAGs can be made of.
        problems: What is wrong with the others, each in a sentence.
    """

    use_cases: list[UseCase]
    problems: list[str]


def find(folder: Path | None) -> Found:
    """The use cases. A schedule that Airflow cannot read would take away the DAGs of all of them.

    Args:
        folder: Holds use-case files outside of the package (`USE_CASES_PATH`).
    """
    catalog = read_catalog(folder)
    found = Found([], [*map(str, catalog.broken)])
    for use_case in catalog.use_cases.values():
        if problem := _problem_with(use_case.schedule):
            found.problems.append(f"use case {use_case.name}: schedule={use_case.schedule!r}: {problem}")
        else:
            found.use_cases.append(use_case)
    return found


def _problem_with(schedule: str | None) -> str | None:
    if schedule in OTHER_SCHEDULES:
        return None
    try:
        CronTriggerTimetable(schedule, timezone="UTC").validate()
    except AirflowTimetableInvalid as error:
        return str(error)
    return None

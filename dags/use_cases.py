"""The Airflow DAGs of every use case: load_raw_data, preprocess_data and train_model, chained by assets.

Use cases are found in the package and in USE_CASES_PATH; a new one needs no change here.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any, get_args

import pendulum
from airflow.sdk import DAG, Asset, Param, chain

from dags.discovery import find
from dags.step_outcome import RUN_DAY, pipeline_run, run_day
from dags.step_runner import step
from modelyard.settings import Settings, read_settings
from modelyard.use_case import LaterFile, UseCase

START = pendulum.datetime(2026, 1, 1, tz="UTC")
RETRIES = 3
RETRY_DELAY = timedelta(seconds=30)

LOAD = """Reads the records from the use case's source into `raw_data`. What is there already is not loaded again; bad
records are kept apart with the reason. With the parameter `source`, another file or URL is loaded: a path below
DATA_URL, or what SOURCES_ALLOWED names. Where a use case has a sample, that is loaded as long as its source was never
there.

Then starts the preprocessing."""
PREPROCESS = """Makes a clean snapshot of the newest records, parted into train, validation and test, in `clean_data`.
A snapshot that is there already is used again. Starts when new raw data has been loaded.

Then starts the training."""
TRAIN = """Trains every candidate, compares them, lets the gate judge the best one, and puts it into production if the
gate agrees. A model that is there already is not trained again. Starts when a clean snapshot has been made."""


def needs_extra(settings: Settings, use_case: UseCase) -> str:
    """What must be installed or built first, for the DAG's documentation."""
    if use_case.extra is None:
        return ""
    verb = f"images-{use_case.extra}" if settings.step_runner == "docker" else use_case.extra
    return f"\n\nNeeds the extra `{use_case.extra}`: run `make {verb}` once, before the first training."


def raw_data(use_case: UseCase) -> Asset:
    """The records as they came in."""
    return Asset(name=f"{use_case.name}.raw_data", uri=f"modelyard://raw_data/{use_case.name}", group="modelyard")


def clean_data(use_case: UseCase) -> Asset:
    """The snapshot that models are trained on."""
    return Asset(name=f"{use_case.name}.clean_data", uri=f"modelyard://clean_data/{use_case.name}", group="modelyard")


def use_case_dag(use_case: UseCase, name: str, doc: str, **more: Any) -> DAG:
    """A DAG with what all DAGs of all use cases have in common.

    Args:
        use_case: Whose DAG it is.
        name: Its name; its id is `<use case>.<name>`.
        doc: What it does, in Markdown.
        more: What only this DAG has.
    """
    return DAG(
        dag_id=f"{use_case.name}.{name}",
        doc_md=f"# {use_case.title}\n\n{use_case.description}\n\n{doc}",
        start_date=START,
        catchup=False,
        max_active_runs=1,
        default_args={"retries": RETRIES, "retry_delay": RETRY_DELAY},
        user_defined_macros={"pipeline_run": pipeline_run, "run_day": run_day},
        tags=["modelyard", use_case.name, use_case.kind.value],
        **more,
    )


def load_params(use_case: UseCase) -> dict[str, Param]:
    """What can be chosen when a load is started, each an option of the step."""
    source = Param(None, type=["null", "string"], description=f"A path or URL; else {use_case.source}")
    params = {"source": source}
    if use_case.profiles:
        about = "Another set of records of the use case, with the parameters for it; else its own"
        params["profile"] = choice(use_case.profiles, about)
    if use_case.is_keyless:
        about = "The whole of the records again, or other ones; else what the use case says, or what the file shows"
        params["records"] = choice(get_args(LaterFile), about)
    return params


def choice(among: Iterable[str], about: str) -> Param:
    """A parameter that is one of these, or nothing."""
    return Param(None, enum=[None, *among], type=["null", "string"], description=about)


def load_raw_data(settings: Settings, use_case: UseCase) -> DAG:
    """The DAG that brings records in, on the use case's schedule."""
    with use_case_dag(
        use_case,
        "load_raw_data",
        LOAD,
        schedule=use_case.schedule if settings.schedules_enabled else None,
        # The others start with this one: it alone decides whether a use case runs by itself.
        is_paused_upon_creation=use_case.schedule is not None and use_case.name != settings.default_use_case,
        params=load_params(use_case),
    ) as dag:
        options = [f"{{{{ '--{name}=' ~ params.{name} if params.{name} else '' }}}}" for name in load_params(use_case)]
        # Whoever may start a run chooses a source, and must not read whatever this machine may.
        step(settings, use_case, "load", options=["--restricted", *options], updates=raw_data(use_case))
    return dag


def preprocess_data(settings: Settings, use_case: UseCase) -> DAG:
    """The DAG that makes a clean snapshot whenever records came in."""
    with use_case_dag(
        use_case, "preprocess_data", PREPROCESS, schedule=[raw_data(use_case)], is_paused_upon_creation=False
    ) as dag:
        step(settings, use_case, "preprocess", updates=clean_data(use_case))
    return dag


def train_model(settings: Settings, use_case: UseCase) -> DAG:
    """The DAG that trains the candidates side by side and takes the best one through the gate."""
    with use_case_dag(
        use_case,
        "train_model",
        TRAIN + needs_extra(settings, use_case),
        schedule=[clean_data(use_case)],
        is_paused_upon_creation=False,
    ) as dag:
        trained = [
            step(settings, use_case, "train", task_id=f"train_{name}", options=["--candidate", name, "--date", RUN_DAY])
            for name in (candidate.name for candidate in use_case.candidates)
        ]
        chain(
            trained,
            step(settings, use_case, "compare"),
            # A use case that wants a person's approval keeps its model waiting for `modelyard promote`.
            step(settings, use_case, "promote", options=["--unattended"]),
            step(settings, use_case, "deploy"),
        )
    return dag


SETTINGS = read_settings()
for found in find(SETTINGS.use_cases_path).use_cases:
    for make in (load_raw_data, preprocess_data, train_model):
        make(SETTINGS, found)

"""The whole loop once, for people to see: from records to a prediction that was kept."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from sqlalchemy import Engine

from modelyard.bootstrap import database_url
from modelyard.catalog import find_use_case
from modelyard.demo.pipeline_run import Loop
from modelyard.demo.report import DemoReport, Prediction, facts, show
from modelyard.embedded.mlflow import running_mlflow
from modelyard.embedded.postgres import Postgres, PostgresServer, embedded_postgres
from modelyard.errors import BadInput, ModelyardError, Refused, ServiceUnavailable, StepFailed
from modelyard.native.airflow import AirflowClient
from modelyard.native.progress import Progress
from modelyard.native.runtime import (
    DEMO_PROCESSES,
    Ports,
    check_same_servers,
    holder_of,
    local_platform,
    services_of,
    with_logins,
)
from modelyard.settings import Settings
from modelyard.sources.granted import granted
from modelyard.stores.database import opened_engine, statement, transaction
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore
from modelyard.stores.results import StepResults
from modelyard.use_case import UseCase

REQUEST_SECONDS = 30
FAILED = 1
LOOPBACK = "127.0.0.1"


class Stage(NamedTuple):
    """Where a demo plays.

    Attributes:
        raw_url: URL of `raw_data`; it is only read.
        clean_url: URL of `clean_data`.
        airflow: Runs the DAGs.
        api: Address of the API.
        api_key: What is sent to it, where it wants a key.
        parsed_since: Since when the DAG files must have been read: an Airflow that starts still shows those of before.
        check: Raises when a process of the demo's own has ended.
    """

    raw_url: str
    clean_url: str
    airflow: AirflowClient
    api: str
    api_key: str | None
    parsed_since: str
    check: Callable[[], None]


def run_demo(settings: Settings, use_case_name: str, source: str | None, profile: str | None = None) -> int:
    """Runs the loop of a use case once, shows it, and writes `demo.json` into the home.

    Args:
        settings: Say where. The services get free ports, unless the platform of this home is up: then they are its.
        use_case_name: The use case.
        source: File or URL of its records; None: what the use case says.
        profile: The profile of the use case; None: without a source its sample, if it has one.

    Returns:
        The exit code: 0 when a version serves and has answered, 3 when the gate refused, else 1.
    """
    progress = Progress()
    file = settings.home / "demo.json"
    file.unlink(missing_ok=True)
    try:
        PostgresServer(settings.home).check_room()
        settings = with_logins(settings)
        use_case, where = find_use_case(use_case_name, settings.use_cases_path), _absolute(source)
        use_case = use_case.in_profile(profile or (None if source else use_case.sample))
        # By way of Airflow, where not everybody may load everything. Whoever runs this may.
        with _stage(settings, progress) as stage, granted(settings.home, where):
            story = _play(use_case, where, stage, progress)
            show(story)
            _write(file, json.dumps(facts(story), indent=2))
            progress.say("done")
    except ModelyardError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (as the command line does)
        return FAILED
    return Refused.exit_code if story.refusal is not None else 0


def _absolute(source: str | None) -> str | None:
    """The source as another process finds it, whatever its working folder is."""
    if source is None or "://" in source:
        return source
    path = Path(source).expanduser().resolve()
    if not path.exists():
        raise BadInput(f"{source}: there is no such file")
    return str(path)


@contextmanager
def _stage(settings: Settings, progress: Progress) -> Iterator[Stage]:
    """The platform of the home if it is up, else one for the demo alone."""
    holder = holder_of(settings.home)
    if holder is None or holder.kind == "demo":  # another demo is reported there
        with _own_stage(settings, progress) as stage:
            yield stage
        return
    if not holder.healthy:
        raise BadInput(f"the platform of {settings.home} is just starting: try again when it is up")
    check_same_servers(settings, holder)
    progress.say("the platform is up: the demo uses it")
    with (
        embedded_postgres(settings.home) as postgres,
        _connected(settings, postgres, holder.ports, "", lambda: None) as stage,
    ):
        yield stage


@contextmanager
def _own_stage(settings: Settings, progress: Progress) -> Iterator[Stage]:
    started = datetime.now(UTC).isoformat()
    # Nothing runs beside the demo, and nobody else reaches it.
    private = settings.model_copy(update={"schedules_enabled": False, "bind_address": LOOPBACK})
    ports = _free_ports(settings.home)
    with (
        local_platform(private, "demo", ports, DEMO_PROCESSES, progress) as platform,
        _connected(private, platform.postgres, ports, started, platform.processes.check) as stage,
    ):
        yield stage
        progress.say("stopping the demo's services; `make up-local` starts them to stay")


def _free_ports(home: Path) -> Ports:
    ports, shared = Ports.free(), running_mlflow(home)
    return ports.model_copy(update={"mlflow": httpx.URL(shared).port}) if shared else ports


@contextmanager
def _connected(
    settings: Settings, postgres: Postgres, ports: Ports, parsed_since: str, check: Callable[[], None]
) -> Iterator[Stage]:
    urls = {service.name: service.url for service in services_of(settings, ports)}
    client = AirflowClient(urls["Airflow"], settings.airflow_user, settings.airflow_password or "")
    with closing(client):
        raw, clean = (database_url(settings, postgres, name, "explorer") for name in ("raw_data", "clean_data"))
        yield Stage(raw, clean, client, urls["API"], settings.api_key, parsed_since, check)


def _play(use_case: UseCase, source: str | None, stage: Stage, progress: Progress) -> DemoReport:
    setup = progress.seconds
    with ExitStack() as stack:
        raw, clean = (stack.enter_context(opened_engine(url)) for url in (stage.raw_url, stage.clean_url))
        loop = Loop(stage.airflow, StepResults(raw), use_case, progress.say, stage.check)
        story = DemoReport(use_case=use_case, steps=loop.steps, setup_seconds=setup)
        try:
            loop.run(source, stage.parsed_since)
            # One that was there before fails no task.
            if story.gate and (refusal := story.gate.refusal(use_case.name)):
                raise Refused(refusal)
            story = replace(story, prediction=_predict(use_case, stage))
            progress.say(f"version {story.version} has answered, and the answer was kept")
        except Refused as refusal:
            story = replace(story, refusal=str(refusal))
        return replace(story, rows=_rows(use_case, raw, clean), total_seconds=progress.seconds)


def _rows(use_case: UseCase, raw: Engine, clean: Engine) -> dict[str, int]:
    counts = RawStore(raw).counts(use_case.name, use_case.data_name)
    return {name: counts[name] for name in ("raw", "rejected")} | {
        "clean": CleanStore(clean).count(use_case.data_name),
        "predictions": counts["predictions"],
    }


def _predict(use_case: UseCase, stage: Stage) -> Prediction:
    started = time.monotonic()
    headers = {"X-API-Key": stage.api_key} if stage.api_key else {}
    with httpx.Client(base_url=stage.api, headers=headers, timeout=REQUEST_SECONDS, trust_env=False) as client:
        known = _answer_of(client, "GET", "/info")["use_cases"]
        if use_case.name not in known:
            raise StepFailed(
                f"no version of {use_case.name} answers: see {client.base_url}/health and the gate's verdict"
            )
        record = known[use_case.name]["example"]
        answer = _answer_of(client, "POST", f"/predict/{use_case.name}", json=record)
    row = _kept(stage.raw_url, answer["request_id"])
    return Prediction(record=record, answer=answer, row=row, seconds=time.monotonic() - started)


def _answer_of(client: httpx.Client, method: str, path: str, **more: Any) -> dict[str, Any]:
    try:
        response = client.request(method, path, **more)
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"the API on {client.base_url} does not answer: {error}") from error
    if not response.is_success:
        raise StepFailed(f"the API on {client.base_url} answers {response.status_code} to {path}: {response.text}")
    answer: dict[str, Any] = response.json()
    return answer


def _kept(raw_url: str, request_id: str) -> dict[str, Any]:
    with opened_engine(raw_url) as engine, transaction(engine) as connection:
        row = connection.execute(statement("prediction"), {"request_id": request_id}).mappings().one_or_none()
    if row is None:
        raise StepFailed(f"the prediction {request_id} was answered, and is not in raw_data.predictions")
    return dict(row)


def _write(file: Path, text: str) -> None:
    """Writes a file so that nobody ever reads half of it."""
    new = file.with_suffix(".new")
    new.write_text(text, encoding="utf-8")
    new.replace(file)

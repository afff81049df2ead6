"""The command `modelyard`: one sub-command a step. Results go to stdout, everything else to stderr."""

import json
import logging
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Annotated, NoReturn, TypeVar

import typer
from pydantic import BaseModel

from modelyard.catalog import find_use_case
from modelyard.contract import TaskKind
from modelyard.errors import BadInput, ModelyardError, NoSpaceLeft, Refused
from modelyard.settings import (
    Administration,
    Settings,
    let_waiting_threads_sleep,
    reach_this_machine_directly,
    read_settings,
    run_in_utf8,
)
from modelyard.steps.stores import Platform, in_loaded_profile
from modelyard.use_case import LaterFile, UseCase

app = typer.Typer(
    help="From raw data to a monitored prediction service.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

UseCaseName = Annotated[str, typer.Option("--use-case", help="Name of the use case.", show_default=False)]
PipelineRun = Annotated[
    str | None, typer.Option("--run", help="Key of the pipeline run that this step belongs to; a new one if not given.")
]
Done = TypeVar("Done", bound=BaseModel)
Step = Callable[[UseCase, Platform, str], Done]


@app.command()
def load(
    use_case: UseCaseName,
    source: Annotated[str | None, typer.Option(help="File or URL of the records; else what the use case says.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="The profile of the use case that they are of; the next steps follow.")
    ] = None,
    records: Annotated[
        LaterFile | None,
        typer.Option(
            help="Without a key: whether the file is the whole table again, or holds other records. "
            "By default what the use case says, or what the file shows."
        ),
    ] = None,
    restricted: Annotated[
        bool, typer.Option("--restricted", help="Take a source only where SOURCES_ALLOWED lets a run in Airflow.")
    ] = False,
    run: PipelineRun = None,
) -> None:
    """Load records into the raw database: idempotent, bad ones quarantined."""
    from modelyard.sources.locate import resolve
    from modelyard.sources.object_store import use_object_store
    from modelyard.sources.reach import ANYWHERE
    from modelyard.steps.load import chosen_records, keep_accepted, load, sources_of_runs

    use_object_store(read_settings())

    def step(declared: UseCase, platform: Platform, _: str) -> BaseModel:
        settings = platform.settings
        chosen = resolve(source, settings.data_url) if source and restricted else source
        found, where = chosen_records(declared, chosen, profile, settings.data_url, platform.raw)
        reach = sources_of_runs(settings, found) if source and restricted else ANYWHERE
        result = load(found, where, platform.raw, settings.allowed_bad_share, platform.objects, reach, records)
        # Pictures are kept one by one.
        if settings.accepted_files_url and not found.has_pictures:
            keep_accepted(where, result.sha256, f"{settings.accepted_files_url}/{found.name}", reach)
        return result

    _run_step("load", use_case, run, step, tracking=False)


@app.command()
def preprocess(use_case: UseCaseName, run: PipelineRun = None) -> None:
    """Make a snapshot of the newest records, parted into training, validation and test."""
    from modelyard.steps.preprocess import preprocess

    def step(found: UseCase, platform: Platform, _: str) -> BaseModel:
        return preprocess(found, platform.raw, platform.clean, platform.objects)

    _run_step("preprocess", use_case, run, step, tracking=False)


@app.command()
def train(
    use_case: UseCaseName,
    candidate: Annotated[str | None, typer.Option(help="Only this candidate; else all, one after the other.")] = None,
    date: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Day of the run; else today (UTC).", show_default=False),
    ] = None,
    run: PipelineRun = None,
) -> None:
    """Train the candidates on the snapshot; those that are trained already are kept."""
    from modelyard.steps.train import train

    names = [candidate] if candidate else [each.name for each in _find(use_case, read_settings()).candidates]
    key, day = run or _new_run(), (date or datetime.now(UTC)).date()
    with ExitStack() as stack:
        platform = _connect(stack, tracking=True)
        for name in names:

            def step(found: UseCase, platform: Platform, key: str, name: str = name) -> BaseModel:
                return train(found, name, platform, key, day)

            _keep_and_print("train", use_case, key, platform, step, part=name)


@app.command()
def compare(use_case: UseCaseName, run: PipelineRun = None) -> None:
    """Choose the best candidate and register it as the challenger."""
    from modelyard.steps.compare import compare

    _run_step("compare", use_case, run, compare)


@app.command()
def promote(
    use_case: UseCaseName,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why the gate is overruled; kept with the verdict.")] = "",
    unattended: Annotated[
        bool, typer.Option("--unattended", help="Nobody is there to approve: a manual use case's challenger waits.")
    ] = False,
    run: PipelineRun = None,
) -> None:
    """Let the gate judge the challenger; if it passes, it goes into production."""
    from modelyard.steps.promote import PromoteResult, promote

    if reason and not force:
        raise BadInput("--reason goes with --force")
    force_reason = reason if force else None

    def step(found: UseCase, platform: Platform, _: str) -> PromoteResult:
        return promote(found, platform, unattended=unattended, force_reason=force_reason)

    result = _run_step("promote", use_case, run, step)
    refusal = result.refusal(use_case)
    if refusal and result.judged:
        raise Refused(refusal)


@app.command()
def rollback(use_case: UseCaseName, run: PipelineRun = None) -> None:
    """Put the version back into production that was there before."""
    from modelyard.steps.promote import rollback

    _run_step("rollback", use_case, run, lambda found, platform, _: rollback(found, platform))


@app.command()
def deploy(use_case: UseCaseName, run: PipelineRun = None) -> None:
    """Wait until every API process serves the version in production."""
    from modelyard.steps.deploy import deploy

    _run_step("deploy", use_case, run, lambda found, platform, _: deploy(found, platform))


@app.command()
def prune(use_case: UseCaseName, run: PipelineRun = None) -> None:
    """Remove versions, snapshots and predictions that are older than what the settings keep."""
    from modelyard.steps.prune import prune

    _run_step("prune", use_case, run, lambda found, platform, _: prune(found, platform))


@app.command("delete-use-case")
def delete_use_case(
    name: Annotated[str, typer.Argument(help="Name of the use case.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete all that a use case has: records, snapshots, versions, predictions, objects. Its own file stays."""
    from modelyard.catalog import read_catalog
    from modelyard.steps import delete

    with ExitStack() as stack:
        platform = _connect(stack, tracking=True)
        found = delete.belongings(name, read_catalog(platform.settings.use_cases_path), platform)
        if not yes:
            _ask_whether_to_delete(found.model_dump(exclude={"use_case"}), name)
        typer.echo(json.dumps(delete.delete_use_case(found, platform).model_dump(mode="json")))


@app.command()
def score(
    use_case: UseCaseName,
    source: Annotated[
        str, typer.Option("--in", help="CSV file by path or URL, or a table such as raw_data.customers.")
    ],
    target: Annotated[str, typer.Option("--out", help="CSV file by path or URL, or a table such as raw_data.scores.")],
    log: Annotated[bool, typer.Option("--log", help="Add them to raw_data.predictions, too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    run: PipelineRun = None,
) -> None:
    """Have the model in production score many records; after a kill the same command goes on."""
    from modelyard.native.progress import counting
    from modelyard.sources.object_store import use_object_store
    from modelyard.steps.score import score

    use_object_store(read_settings())

    def step(found: UseCase, platform: Platform, _: str) -> BaseModel:
        with counting(f"scoring {source}", "records") as tell:
            return score(found, platform, source, target, log=log, tell=tell, force=force)

    _run_step("score", use_case, run, step)


@app.command()
def url(
    database: Annotated[str, typer.Argument(help="raw_data or clean_data")],
    role: Annotated[str, typer.Option(help="pipeline, api or explorer; of the embedded database.")] = "pipeline",
) -> None:
    """Print the URL of a database."""
    from modelyard.native.status import database_url

    typer.echo(database_url(read_settings(), database, role))


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Say what runs, which versions are in production, and how many rows there are."""
    from modelyard.native.status import show_status

    show_status(read_settings(), as_json=as_json)


@app.command()
def demo(
    use_case: Annotated[str | None, typer.Option("--use-case", help="Which use case; else the default one.")] = None,
    source: Annotated[str | None, typer.Option(help="File or URL of the records; else what the use case says.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="Its profile; else its sample, if it has one and no source is given.")
    ] = None,
) -> None:
    """Run the whole loop once, from records to a logged prediction, and show it."""
    from modelyard.demo.run import run_demo

    settings = read_settings()
    raise typer.Exit(run_demo(settings, use_case or settings.default_use_case, source, profile))


@app.command()
def extra(
    use_case: Annotated[str | None, typer.Option("--use-case", help="Which use case; else the default one.")] = None,
) -> None:
    """Print the extra of this package that a use case's training needs; nothing, if it needs none."""
    settings = read_settings()
    typer.echo(_find(use_case or settings.default_use_case, settings).extra or "")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the new use case.")],
    source: Annotated[
        str, typer.Option("--from", help="CSV file, or folder of pictures with one folder a class.", show_default=False)
    ],
    target: Annotated[str | None, typer.Option(help="The column to predict, in a table.")] = None,
    key: Annotated[str | None, typer.Option(help="The column that identifies a record, if one does.")] = None,
    kind: Annotated[TaskKind | None, typer.Option(help="The kind of task; else what the target looks like.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a use-case file from a table, or from a folder of pictures, that nobody has declared yet."""
    from modelyard.authoring.draft import Question
    from modelyard.authoring.new import new, new_of_pictures
    from modelyard.sources.object_store import use_object_store

    settings = read_settings()
    use_object_store(settings)
    if target is not None:
        new(settings, Question(name, source, target, key, kind, settings.allowed_bad_share), force=force)
    elif key or kind:
        raise BadInput("--key and --kind are for tables, and so need --target, the column to predict")
    elif Path(source).is_file() or (source.lower().endswith((".csv", ".csv.gz")) and not Path(source).is_dir()):
        raise BadInput(
            f"which column of {source} is to be predicted? Name it with --target (pictures come as a folder with a "
            "folder for each class)"
        )
    else:
        new_of_pictures(settings, name, source, force=force)


@app.command("up-local")
def up_local() -> None:
    """Start the platform as native processes."""
    from modelyard.native.lifecycle import up_local

    up_local(read_settings())


@app.command("down-local")
def down_local() -> None:
    """Stop the platform's native processes."""
    from modelyard.native.lifecycle import down_local

    down_local(read_settings())


@app.command()
def migrate() -> None:
    """Make or update databases, roles and tables of a server (ADMIN_DATABASE_URL)."""
    from modelyard.admin.databases import migrate_server

    migrate_server(Administration())


@app.command()
def upload(
    data: Annotated[Path, typer.Option(help="Folder whose files go into the bucket `data`.")],
    use_cases: Annotated[Path, typer.Option(help="Folder with use-case files.")],
    into: Annotated[Path, typer.Option(help="Where the services find use cases; made equal to that folder.")],
) -> None:
    """Make MinIO's buckets and users, and bring data and use cases of your own to the platform."""
    from modelyard.admin.storage import upload

    upload(Administration(), data, use_cases, into)


@app.command("make-secrets")
def make_secrets(
    into: Annotated[Path, typer.Option(help="Has a folder for each service that gets secrets, and one for all.")],
) -> None:
    """Make the platform's secrets where they are missing, hand them to its services, and print how to log in."""
    from modelyard.admin.make_secrets import make_secrets

    for line in make_secrets(Administration(), into):
        typer.echo(line)


@app.command("airflow-init")
def airflow_init() -> None:
    """Write Airflow's login and keys and bring its database up to date, where AIRFLOW_HOME/state is its state."""
    from modelyard.admin.airflow import initialize

    initialize(Administration())


def main() -> None:
    """Runs the command line; the only place where errors become exit codes."""
    run_in_utf8()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each request while one waits for an answer
    signal.signal(signal.SIGTERM, _end)
    let_waiting_threads_sleep()
    reach_this_machine_directly()
    try:
        app()
    except ModelyardError as error:
        _fail(error)
    except OSError as error:
        if full := NoSpaceLeft.of(error):
            _fail(full)
        raise


def _fail(error: ModelyardError) -> NoReturn:
    typer.echo(f"error: {error}", err=True)
    sys.exit(error.exit_code)


def _end(number: int, _: FrameType | None) -> None:
    # An exception, so that what was started is stopped.
    sys.exit(128 + number)


def _run_step(step: str, use_case: str, run: str | None, work: Step[Done], *, tracking: bool = True) -> Done:
    _find(use_case, read_settings())
    with ExitStack() as stack:
        platform = _connect(stack, tracking=tracking)
        return _keep_and_print(step, use_case, run or _new_run(), platform, work)


def _ask_whether_to_delete(belongings: dict[str, object], name: str) -> None:
    if not sys.stdin.isatty():
        raise BadInput(f"nobody is there to ask: --yes deletes {name} with {belongings}")
    typer.confirm(f"Delete {name} with {belongings}? It cannot be taken back", abort=True)


def _connect(stack: ExitStack, *, tracking: bool) -> Platform:
    from modelyard.bootstrap import stores

    return stack.enter_context(stores(read_settings(), tracking=tracking))


def _keep_and_print(step: str, use_case: str, run: str, platform: Platform, work: Step[Done], part: str = "") -> Done:
    started = time.perf_counter()
    found = _find(use_case, platform.settings)
    result = work(found if step == "load" else in_loaded_profile(found, platform.results, run), platform, run)
    seconds = time.perf_counter() - started
    platform.results.keep(run, use_case, step, result, seconds, part)
    line = {"run": run, "step": step, "use_case": use_case, "seconds": round(seconds, 3)}
    typer.echo(json.dumps({**line, **result.model_dump(mode="json")}))
    return result


def _find(use_case: str, settings: Settings) -> UseCase:
    return find_use_case(use_case, settings.use_cases_path)


def _new_run() -> str:
    return f"cli-{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"

"""`modelyard new`: from a table that nobody has declared to a use-case file, and what to know about it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import typer

from modelyard.authoring.declaration import declaration, picture_declaration
from modelyard.authoring.draft import Question, assumptions, doubts, draft_of
from modelyard.authoring.pictures import assumptions_of_pictures, doubts_of_pictures, picture_draft_of
from modelyard.catalog import find_use_case, read_catalog
from modelyard.contract import IDENTIFIER, LONGEST_NAME, TaskKind
from modelyard.errors import BadInput
from modelyard.settings import Settings
from modelyard.sources.files import content_hash
from modelyard.sources.locate import resolve
from modelyard.use_case import RESERVED_NAMES

# Where use cases are looked for when no setting names a folder.
USUAL_FOLDER = Path("use_cases")
# Below the data: what was copied there, and git ignores.
OWN_DATA = "own"
DATA_ENDING = re.compile(r"(\.\w{1,8}){1,2}$")
KINDS = {
    TaskKind.BINARY: "one of two classes",
    TaskKind.MULTICLASS: "one of several classes",
    TaskKind.REGRESSION: "a number",
}
# The longest name of a model's table that leaves room for what the platform adds.
LONGEST_USE_CASE = LONGEST_NAME - 20


def new(settings: Settings, question: Question, *, force: bool) -> None:
    """Writes the file of a new use case, and says what was assumed and is doubted.

    Args:
        settings: Say where use cases and data are.
        question: What is asked for.
        force: Whether a file that is there may be written over.

    Raises:
        BadInput: It cannot be one, or it is there already; the message says why and what to do.
        ServiceUnavailable: The server that has the table does not answer.
    """
    file = _free_file(question.name, settings, force=force)
    draft = draft_of(question)
    source = place(question.source, question.name, settings.data_url, force=force)
    _write(file, declaration(draft, source))
    count, kind = len(draft.features), KINDS[draft.goal.kind]
    features = "1 feature" if count == 1 else f"{count} features"
    typer.echo(f"{_shown(file)}: {kind} from {features}, made from {draft.table.records} records")
    where = f"The records are read from {resolve(source, settings.data_url)}."
    _tell([*assumptions(draft), where], doubts(draft, question.allowed_bad_share), file.parent)
    _tell_next(question.name, source, [f"Read {_shown(file)}: units, help and limits are yours to add."])


def new_of_pictures(settings: Settings, name: str, source: str, *, force: bool) -> None:
    """Writes the file of a new use case of pictures, and says what was assumed and is doubted.

    Args:
        settings: Say where use cases and data are.
        name: Name of the use case.
        source: A folder with one folder a class.
        force: Whether a file that is there may be written over.

    Raises:
        BadInput: It cannot be one, or it is there already; the message says why and what to do.
        ServiceUnavailable: The server that has the folder does not answer.
    """
    file = _free_file(name, settings, force=force)
    draft = picture_draft_of(name, source)
    found = _below(source, settings.data_url)
    _write(file, picture_declaration(draft, found))
    typer.echo(
        f"{_shown(file)}: one of {len(draft.counts)} classes from a picture, made from {draft.pictures} pictures"
    )
    where = f"The pictures are read from {resolve(found, settings.data_url)}."
    _tell([*assumptions_of_pictures(draft), where], doubts_of_pictures(draft), file.parent)
    steps = [f"Read {_shown(file)}: titles and help are yours to add."]
    if Path(found).is_absolute():
        steps.append("For containers, move the folder below `data` first, and run this again with --force.")
    _tell_next(name, found, steps)


def place(source: str, name: str, data_url: str, *, force: bool) -> str:
    """Where a use case finds its records: below the data folder, which is the same without Docker and under compose.

    A file elsewhere on this machine is copied into the data folder; a URL stays where it is.

    Args:
        source: Path or URL of the table.
        name: Name of the use case.
        data_url: The folder or URL that holds the data.
        force: Whether a copy that is there may be written over.

    Raises:
        BadInput: Another file is where the copy would be.
    """
    found = _below(source, data_url)
    path = Path(found)
    if "://" in source or not path.is_absolute():
        return found
    ending = DATA_ENDING.search(path.name)
    below = f"{OWN_DATA}/{name}{ending[0] if ending else '.csv'}"
    _copy(str(path), f"{data_url.rstrip('/')}/{below}", force=force)
    return below


def _below(source: str, data_url: str) -> str:
    """A source as it is found from the data folder, if it lies there; else by its whole path or URL."""
    if "://" in source:
        return source.removeprefix(f"{data_url.rstrip('/')}/")
    path = Path(source).expanduser().resolve()
    if "://" not in data_url and path.is_relative_to(Path(data_url).resolve()):
        return path.relative_to(Path(data_url).resolve()).as_posix()
    return str(path)


def _copy(source: str, target: str, *, force: bool) -> None:
    files, path = fsspec.core.url_to_fs(target)
    if files.exists(path):
        if content_hash(target) == content_hash(source):
            return
        if not force:
            raise BadInput(f"{target} is there already and holds something else: --force writes over it")
    with _allowed():
        files.makedirs(files._parent(path), exist_ok=True)
        files.put_file(source, path)


def _free_file(name: str, settings: Settings, *, force: bool) -> Path:
    """Where the use case is written."""
    file = (settings.use_cases_path or USUAL_FOLDER) / f"{name}.py"
    _check_name(name, file, settings, force=force)
    return file


def _check_name(name: str, file: Path, settings: Settings, *, force: bool) -> None:
    if not IDENTIFIER.fullmatch(name) or len(name) > LONGEST_USE_CASE:
        raise BadInput(
            f"{name!r} cannot be the name of a use case: small letters, digits and underscores, a letter first, "
            f"{LONGEST_USE_CASE} at most"
        )
    if name in RESERVED_NAMES:
        raise BadInput(f"{name} is one of the platform's own tables: choose another name")
    if file.exists():
        if not force:
            raise BadInput(f"{file} is there already: --force writes over it")
        return
    if name in read_catalog(settings.use_cases_path).use_cases:
        raise BadInput(f"there is a use case {name} already: choose another name")


def _write(file: Path, text: str) -> None:
    """Writes a use case that can be used, or none."""
    with _allowed():
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(file)
    find_use_case(file.stem, file.parent)


@contextmanager
def _allowed() -> Iterator[None]:
    """Says in a sentence that a file may not be written."""
    try:
        yield
    except PermissionError as error:
        user = f"user {os.getuid()} may not write there (in a container, HOST_UID and HOST_GID say who that is)"
        raise BadInput(f"{error.filename}: {user}") from error


def _shown(file: Path) -> Path:
    """A file as somebody would type it here."""
    return file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file


def _tell(assumed: list[str], doubtful: list[str], folder: Path) -> None:
    broken = [str(problem) for problem in read_catalog(folder).broken]
    for heading, sentences in (("Assumed", assumed), ("Doubtful", doubtful), ("Cannot be used", broken)):
        if sentences:
            typer.echo(f"\n{heading}")
            for sentence in sentences:
                typer.echo(f"  - {sentence}")


def _tell_next(name: str, source: str, steps: list[str]) -> None:
    steps = [*steps, f"make demo USE_CASE={name}"]
    if "://" not in source and not Path(source).is_absolute():
        steps.append(f"In containers: make upload, then start {name}.load_raw_data in Airflow.")
    typer.echo("\nNext")
    for step in steps:
        typer.echo(f"  - {step}")

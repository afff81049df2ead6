"""What a model said of many records: into a table or a file, a page at a time, each page once.

A page is there as a whole or not at all, and with it how far the scoring has come; after a kill it goes on from there.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import fsspec
from fsspec.compression import compr
from fsspec.implementations.local import LocalFileSystem
from fsspec.utils import infer_compression
from pydantic import Field
from sqlalchemy import Connection, Engine

from modelyard.contract import Contract, Frozen
from modelyard.errors import BadInput
from modelyard.stores.database import quoted, statement, transaction
from modelyard.stores.records import tables
from modelyard.stores.records.copying import copy_in, to_csv

if TYPE_CHECKING:
    import pyarrow as pa

# How a cell begins that a spreadsheet may take for a formula, and what is a number all the same.
FORMULA = r"^[=+\-@\t\r\n]"
NUMBER = r"^[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?$"

# Of scores by a model that has intervals.
INTERVAL_COLUMNS = ("lower", "upper")

PREDICTION_COLUMNS = (
    "request_id, use_case, model_version, role, record_key, features, prediction, probabilities, latency_ms, "
    "created_at, lower, upper"
)


class Run(Frozen):
    """A scoring, and how far it has come.

    Attributes:
        source: What is scored.
        use_case: By whose model.
        model_version: By which of its versions.
        run_id: Its own id: what is made of it is the same after a kill.
        started_ms: When it began, in milliseconds since 1970.
        pages: Pages that are there.
        rows: Rows in them.
        size: Bytes of the file that they take.
        sha256: Hash of the source as far as they go.
    """

    source: str
    use_case: str
    model_version: int
    run_id: uuid.UUID = Field(default_factory=uuid.uuid4)
    started_ms: int
    pages: int = 0
    rows: int = 0
    size: int = 0
    sha256: str = ""

    def goes_on(self, other: "Run") -> bool:
        """Whether another run is the same work."""
        mine, theirs = ((run.source, run.use_case, run.model_version) for run in (self, other))
        return mine == theirs


class Scores(Protocol):
    """Where scores go."""

    @property
    def run(self) -> Run:
        """How far it has come."""

    def add(self, run: Run, rows: "pa.Table", predictions: "pa.Table | None") -> None:
        """Adds a page, and the same as rows of `predictions` when these are given."""

    def finish(self) -> None:
        """Says that there are no more."""

    def close(self) -> None:
        """Lets go of what is open, finished or not."""


class Log:
    """The table `predictions`, to which a page is added so that it is there once, however often it is added.

    Args:
        engine: Of `raw_data`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def add(self, connection: Connection, predictions: "pa.Table") -> None:
        """Adds rows; those that are there stay as they are."""
        connection.execute(statement("create_scored"))
        copy = statement("copy_in", table="scored", columns=PREDICTION_COLUMNS)
        copy_in(connection, copy, iter([to_csv(predictions)]))
        connection.execute(statement("add_scored", columns=PREDICTION_COLUMNS))


class ScoresTable:
    """A table of `raw_data`, made for the scores of one run.

    Args:
        log: The database.
        name: The table's.
        run: The work to be done; a run of the same work that was killed is gone on with.
        contract: Says of what type predictions are, and whether they have intervals.

    Raises:
        BadInput: There is such a table, and it is not of that work.
    """

    def __init__(self, log: Log, name: str, run: Run, contract: Contract) -> None:
        self._log = log
        self._name = name
        with transaction(log.engine) as connection:
            self._table = quoted(connection, name)
            self.run = self._known(connection, run) or self._make(connection, run, contract)

    def add(self, run: Run, rows: "pa.Table", predictions: "pa.Table | None") -> None:
        """Adds a page in one transaction."""
        with transaction(self._log.engine) as connection:
            names = ", ".join(quoted(connection, column) for column in rows.column_names)
            copy_in(connection, statement("copy_in", table=self._table, columns=names), iter([to_csv(rows)]))
            if predictions is not None:
                self._log.add(connection, predictions)
            done = {"target": self._name, "pages": run.pages, "rows": run.rows, "sha256": run.sha256}
            connection.execute(statement("advance_score_run"), done)
        self.run = run

    def finish(self) -> None:
        """Notes that it is complete."""
        with transaction(self._log.engine) as connection:
            connection.execute(statement("finish_score_run"), {"target": self._name})

    def close(self) -> None:
        """Every page was a transaction of its own: nothing is open."""

    def _known(self, connection: Connection, wanted: Run) -> Run | None:
        found = connection.execute(statement("find_score_run"), {"target": self._name}).mappings().one_or_none()
        there = tables.exists(connection, self._name)
        if found is None or not there:
            if there:
                raise BadInput(f"raw_data.{self._name} is there already and not of a scoring: choose another name")
            return None
        known = Run(**{name: value for name, value in found.items() if name != "finished"})
        if found["finished"] or not known.goes_on(wanted):
            what = f"the scores of {known.source} by version {known.model_version} of {known.use_case}"
            raise BadInput(f"raw_data.{self._name} has {what}: drop it, or choose another name")
        return known

    def _make(self, connection: Connection, run: Run, contract: Contract) -> Run:
        interval = "".join(f"{name} double precision, " for name in INTERVAL_COLUMNS) if contract.interval else ""
        prediction = tables.target_type(contract.target)
        connection.execute(statement("create_scores", table=self._table, prediction=prediction, interval=interval))
        values = run.model_dump(include={"source", "use_case", "model_version", "run_id", "started_ms"})
        connection.execute(statement("add_score_run"), {"target": self._name, **values})
        return run


class ScoresFile:
    """A CSV file: written on this machine, and where it is wanted when it is complete.

    Args:
        log: Where predictions are added to, when they are.
        target: Path or URL.
        run: The work to be done; a run of the same work that was killed is gone on with.
        folder: Where unfinished files are, one folder for each target.
        force: Whether a file that is there may be written over.

    Raises:
        BadInput: There is such a file.
    """

    def __init__(self, log: Log, target: str, run: Run, folder: Path, *, force: bool) -> None:
        self._log = log
        self._target = target
        self._force = force
        self._rows = folder / "rows.csv"
        self._progress = folder / "progress.json"
        self._check_target()
        folder.mkdir(parents=True, exist_ok=True)
        self.run = self._known(run) or run
        # Before the first page: the ids of what is logged of it follow from the run's own.
        self._note()
        self._file: BinaryIO = self._rows.open("r+b" if self._rows.exists() else "w+b")
        # What came after the last whole page is half a page.
        self._file.truncate(self.run.size)
        self._file.seek(self.run.size)

    def add(self, run: Run, rows: "pa.Table", predictions: "pa.Table | None") -> None:
        """Adds a page: on the disk, and only then counted."""
        if predictions is not None:
            with transaction(self._log.engine) as connection:
                self._log.add(connection, predictions)
        if not self.run.pages:
            self._file.write((",".join(rows.column_names) + "\n").encode())
        self._file.write(to_csv(guarded(rows)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.run = run.model_copy(update={"size": self._file.tell()})
        self._note()

    def finish(self) -> None:
        """Brings the file to where it is wanted: all of it or nothing.

        Raises:
            BadInput: It cannot be written there, or such a file is there by now.
        """
        self.close()
        self._check_target()
        with self._written() as target, self._rows.open("rb") as rows:
            shutil.copyfileobj(rows, target)
        shutil.rmtree(self._rows.parent)

    def close(self) -> None:
        """Closes the unfinished file."""
        self._file.close()

    def _check_target(self) -> None:
        with self._explained():
            files, path = fsspec.core.url_to_fs(self._target)
            there = files.exists(path)
            replaceable = files.isfile(path)
        if there and not replaceable:
            raise BadInput(f"{self._target} is no file that can be written over")
        if there and not self._force:
            raise BadInput(f"{self._target} is there already: --force writes over it")

    @contextmanager
    def _written(self) -> Iterator[BinaryIO]:
        with self._explained():
            files, path = fsspec.core.url_to_fs(self._target)
            if not isinstance(files, LocalFileSystem):
                # An object is there when all of it is.
                with fsspec.open(self._target, "wb", compression="infer") as target:
                    yield target
                return
            unfinished = Path(path).with_name(f".{Path(path).name}.{self.run.run_id}")
            unfinished.unlink(missing_ok=True)
            try:
                # A new file: nobody can have put a link in its place.
                with unfinished.open("xb") as plain, _compressed(plain, path) as target:
                    yield target
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError, ImportError) as error:
            kept = f"; the scores are in {self._rows}" if self._rows.exists() else ""
            raise BadInput(f"{self._target} cannot be written: {error}{kept}") from error

    def _note(self) -> None:
        unfinished = self._progress.with_suffix(".new")
        unfinished.write_text(self.run.model_dump_json(), encoding="utf-8")
        unfinished.replace(self._progress)

    def _known(self, wanted: Run) -> Run | None:
        if not self._progress.exists():
            return None
        known = Run(**json.loads(self._progress.read_text(encoding="utf-8")))
        return known if known.goes_on(wanted) else None


def guarded(rows: "pa.Table") -> "pa.Table":
    """Rows whose texts no spreadsheet takes for formulas: one that begins like a formula gets an apostrophe before it.

    Numbers stay as they are, also those that are kept as text.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for position, field in enumerate(rows.schema):
        if pa.types.is_string(field.type):
            texts = rows.column(position)
            formulas = pc.and_not(pc.match_substring_regex(texts, FORMULA), pc.match_substring_regex(texts, NUMBER))
            safe = pc.if_else(formulas, pc.binary_join_element_wise("'", texts, ""), texts)
            rows = rows.set_column(position, field, safe)
    return rows


@contextmanager
def _compressed(plain: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """A file as the ending of a name says."""
    compression = infer_compression(name)
    if compression is None:
        yield plain
        return
    with compr[compression](plain, mode="wb") as file:
        yield file


def write_table(engine: Engine, table: str, file: BinaryIO) -> None:
    """Writes all rows of a table as CSV with a header; of a record's revisions the newest.

    Raises:
        BadInput: There is no such table.
        ServiceUnavailable: The database does not answer.
    """
    with transaction(engine) as connection:
        columns = tables.column_names(connection, table)
        if not columns:
            raise BadInput(f"there is no table {table}")
        kind = "newest_rows" if {"record_key", "revision"} <= set(columns) else "all_rows"
        first = "record_key" if "record_key" in columns else columns[0]
        query = statement(kind, table=quoted(connection, table), first=quoted(connection, first))
        with closing(connection.connection.cursor()) as cursor:
            cursor.copy_expert(query.text, file)

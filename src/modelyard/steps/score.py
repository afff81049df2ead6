"""Has the model in production say something of many records: from a file or table to a file or table.

Memory does not grow with the number of records, and what was killed goes on where it was: pages are the same every
time, each is there once, and the ids of what is logged follow from the run and the record.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic_core import to_json

from modelyard.contract import Answer, Contract, Frozen, TaskKind
from modelyard.errors import BadInput, NothingToWorkOn
from modelyard.home import open_home
from modelyard.models.onnx.compiled import CompiledModel
from modelyard.sources.asked import Asked, AskedRecords
from modelyard.sources.csv_file import carried_columns
from modelyard.sources.files import Content, opened
from modelyard.sources.table import streamed, table_of
from modelyard.steps.models import load_compiled
from modelyard.steps.stores import Platform
from modelyard.stores.registry import PRODUCTION
from modelyard.stores.scores import INTERVAL_COLUMNS, Log, Run, Scores, ScoresFile, ScoresTable, write_table
from modelyard.use_case import RESERVED_COLUMNS, RecordKey, UseCase

# What predictions of a scoring are in `predictions`, beside those of the API.
ROLE = "score"
KEY_COLUMN = "record_key"
Told = Callable[[int], None]


class ScoreResult(Frozen):
    """What was scored.

    Attributes:
        version: The version that said it.
        rows: Records of the source.
        problems: Those among them that the model could not be asked about; the column `problem` says why.
        resumed_at: From which of them on it was done now, the rest before.
        target: Where the scores are.
    """

    version: int
    rows: int
    problems: int
    resumed_at: int
    target: str


def score(
    use_case: UseCase, platform: Platform, source: str, target: str, *, log: bool, tell: Told, force: bool = False
) -> ScoreResult:
    """Scores all records of a source.

    Args:
        use_case: By whose model.
        platform: Where models and tables are.
        source: A CSV file by path or URL, or a table as `raw_data.name` or `clean_data.name`.
        target: A CSV file by path or URL, or a table as `raw_data.name`.
        log: Whether the predictions are added to `predictions`, too.
        tell: Called with the number of records after each page.
        force: Whether a file that is there may be written over.

    Raises:
        NothingToWorkOn: No version is in production.
        BadInput: The source cannot be read, or has changed since the run that was killed; or the target is taken.
    """
    version = platform.registry.aliased(use_case.name, PRODUCTION)
    if version is None:
        raise NothingToWorkOn(f"{use_case.name} has no version in production: run `modelyard promote` first")
    model = load_compiled(platform, use_case.name, version)
    if model.contract.kind is TaskKind.IMAGE:
        raise BadInput(f"{use_case.name} is asked about pictures: `score` takes tables")
    run = Run(source=source, use_case=use_case.name, model_version=version, started_ms=time.time_ns() // 10**6)
    problems = 0
    with (
        closing(_scores(platform, target, run, model.contract, force=force)) as scores,
        _content(platform, source) as content,
    ):
        resumed_at = scores.run.rows
        decimal = "." if table_of(source) else use_case.decimal
        beside = carried_columns(use_case)
        asked = AskedRecords(content, _contract(model, source), _key(use_case, source), decimal, beside)
        for page in _after(asked.pages(), scores.run):
            problems += _score_page(model, page, scores, log=log)
            tell(scores.run.rows)
        scores.finish()
    return ScoreResult(version=version, rows=scores.run.rows, problems=problems, resumed_at=resumed_at, target=target)


def _scores(platform: Platform, target: str, run: Run, contract: Contract, *, force: bool) -> Scores:
    log = Log(platform.raw.engine)
    table = table_of(target)
    if table is None:
        name = hashlib.sha256(target.encode()).hexdigest()[:16]
        return ScoresFile(log, target, run, open_home(platform.settings.home) / "scores" / name, force=force)
    if table[0] != "raw_data":
        raise BadInput(f"{target}: scores go to a table of raw_data")
    return ScoresTable(log, table[1], run, contract)


@contextmanager
def _content(platform: Platform, source: str) -> Iterator[Content]:
    table = table_of(source)
    if table is None:
        with opened(source) as content:
            yield content
        return
    engine = platform.raw.engine if table[0] == "raw_data" else platform.clean.engine
    with streamed(source, lambda file: write_table(engine, table[1], file)) as content:
        yield content


def _contract(model: CompiledModel, source: str) -> Contract:
    """What the model takes. In a table of ours, no feature has a column of the platform's."""
    contract = model.contract
    if table_of(source) is None:
        return contract
    features = (
        feature.model_copy(update={"aliases": tuple(set(feature.aliases) - RESERVED_COLUMNS)})
        for feature in contract.features
    )
    return contract.model_copy(update={"features": tuple(features)})


def _key(use_case: UseCase, source: str) -> RecordKey | None:
    """What names a record: in tables of ours, that column has one name whatever it was in the file."""
    key = use_case.key
    if table_of(source) is None:
        return key
    return RecordKey(name=key.name if key else KEY_COLUMN, aliases=(KEY_COLUMN,))


def _after(pages: Iterator[Asked], run: Run) -> Iterator[Asked]:
    """The pages that are not there yet.

    Raises:
        BadInput: Those that are there were of another content.
    """
    sha256 = ""
    for _ in range(run.pages):
        page = next(pages, None)
        sha256 = page.sha256 if page else ""
    if sha256 != run.sha256:
        raise BadInput(
            f"{run.source} has changed since its first {run.rows} records were scored: choose another target"
        )
    yield from pages


def _score_page(model: CompiledModel, page: Asked, scores: Scores, *, log: bool) -> int:
    answers = model.contract.answers(model.scores(page.arrays)) if len(page.usable) else []
    run = scores.run
    done = run.model_copy(
        update={
            "pages": run.pages + 1,
            "rows": run.rows + page.features.num_rows + len(page.unreadable),
            "sha256": page.sha256,
        }
    )
    ids = [_request_id(run, int(line)) for line in page.lines]
    predictions = _predictions(model.contract, run, page, answers, ids) if log and answers else None
    scores.add(done, _rows(model.contract, run, page, answers, ids), predictions)
    return len(page.problems) + len(page.unreadable)


def _request_id(run: Run, line: int) -> str:
    """A UUIDv7 of the run's beginning that is the same whenever this record is scored in this run."""
    digest = hashlib.blake2b(run.run_id.bytes + line.to_bytes(8, "big"), digest_size=10).digest()
    random = int.from_bytes(digest, "big")
    bits = (run.started_ms << 80) | (7 << 76) | ((random >> 62 & 0xFFF) << 64) | (2 << 62) | (random & (2**62 - 1))
    return str(uuid.UUID(int=bits))


def _rows(contract: Contract, run: Run, page: Asked, answers: list[Answer], ids: list[str]) -> pa.Table:
    """The page as it goes out: every record of the source has its row, those with a problem too."""
    said: list[Answer | None] = [None] * len(page.lines)
    for position, answer in zip(page.usable.tolist(), answers, strict=True):
        said[position] = answer
    keys = page.keys.to_pylist() if page.keys is not None else [None] * len(page.lines)
    rows = [
        _row(int(line), keys[place], said[place], run, ids[place], page.problems.get(place))
        for place, line in enumerate(page.lines)
    ]
    rows += [_row(line, None, None, run, _request_id(run, line), problem) for line, problem in page.unreadable]
    rows.sort(key=lambda row: int(row["line"]))
    return pa.Table.from_pylist(rows, _row_schema(contract))


def _row(line: int, key: Any, answer: Answer | None, run: Run, request_id: str, problem: str | None) -> dict[str, Any]:
    row: dict[str, Any] = {"line": line, "record_key": key, "model_version": run.model_version}
    row |= {"request_id": request_id, "problem": problem}
    if answer is not None:
        shares = to_json(answer.probabilities).decode() if answer.probabilities else None
        row |= {"prediction": answer.prediction, "probability": answer.probability, "probabilities": shares}
        row |= {"lower": answer.lower, "upper": answer.upper}
    return row


def _row_schema(contract: Contract) -> pa.Schema:
    labels = contract.target.classes
    prediction = pa.float64() if not labels else pa.int64() if all(isinstance(x, int) for x in labels) else pa.string()
    text = pa.string()
    interval = [(name, pa.float64()) for name in INTERVAL_COLUMNS] if contract.interval else []
    return pa.schema(
        [
            ("line", pa.int64()),
            ("record_key", text),
            ("prediction", prediction),
            *interval,
            ("probability", pa.float64()),
            ("probabilities", text),
            ("model_version", pa.int64()),
            ("request_id", text),
            ("problem", text),
        ]
    )


def _predictions(contract: Contract, run: Run, page: Asked, answers: list[Answer], ids: list[str]) -> pa.Table:
    records = page.features.take(pa.array(page.usable)).to_pylist()
    for name, cells in page.beside.items():
        for record, cell in zip(records, cells.take(pa.array(page.usable)).to_pylist(), strict=True):
            if cell is not None:
                record[name] = cell
    keys = page.keys.take(pa.array(page.usable)).to_pylist() if page.keys is not None else [None] * len(answers)
    count = len(answers)
    created_at = datetime.fromtimestamp(run.started_ms / 1000, UTC).isoformat()
    return pa.table(
        {
            "request_id": np.array(ids, dtype=object)[page.usable].tolist(),
            "use_case": [contract.use_case] * count,
            "model_version": [run.model_version] * count,
            "role": [ROLE] * count,
            "record_key": pa.array(keys, pa.string()),
            "features": [to_json(record).decode() for record in records],
            "prediction": [to_json(answer.prediction).decode() for answer in answers],
            "probabilities": pa.array(
                [to_json(answer.probabilities).decode() if answer.probabilities else None for answer in answers],
                pa.string(),
            ),
            "latency_ms": [0.0] * count,
            "created_at": [created_at] * count,
            "lower": pa.array([answer.lower for answer in answers], pa.float64()),
            "upper": pa.array([answer.upper for answer in answers], pa.float64()),
        }
    )

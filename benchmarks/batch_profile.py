"""Where the time of a batch goes: what each step of answering it takes of the processor, for a record.

`python -m benchmarks.batch_profile`
"""

import asyncio
import os
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import asyncpg
from pydantic_core import to_json
from rich.console import Console
from rich.table import Table
from services.api.inputs.base import JSON

from benchmarks.serve import BATCH_ROWS, Inputs, Numbers, make_inputs
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.models.onnx.compiled import CompiledModel
from services.api.log.database import connection_arguments
from services.api.log.prediction_log import TABLE
from services.api.log.rows import Row
from services.api.models.answers import make_all
from services.api.models.served import ServedVersion

TURNS = 5

Made = TypeVar("Made")


def measure() -> Numbers:
    """Microseconds of processor time for each record, by step; of several turns the shortest."""
    with TemporaryDirectory(prefix="modelyard-bench-") as name, embedded_postgres(Path(name)) as postgres:
        inputs = make_inputs(Path(name))
        turns = [asyncio.run(_turn(inputs, postgres)) for _ in range(TURNS)]
    return {step: min(turn[step] for turn in turns) for step in turns[0]}


async def _turn(inputs: Inputs, postgres: Postgres) -> Numbers:
    model = CompiledModel.load(inputs.package)
    served = ServedVersion(1, model)
    body = inputs.batch.read_bytes()
    taken: Numbers = {}
    questions = _timed(
        taken, "read and check the JSON", lambda: [*chain(*served.reader.read_all(body, JSON, BATCH_ROWS))]
    )
    arrays = _timed(taken, "make arrays", lambda: served.reader.arrays(questions))
    scores = _timed(taken, "the model", lambda: model.scores(arrays))
    answers = _timed(taken, "scores to answers", lambda: model.contract.answers(scores))
    rows, contents = _timed(taken, "rows and contents", lambda: make_all(served, questions, answers, 1.0))
    _timed(taken, "write the JSON", lambda: to_json(contents))
    return taken | await _copy(postgres, rows)


async def _copy(postgres: Postgres, rows: list[Row]) -> Numbers:
    connection = await asyncpg.connect(**connection_arguments(postgres.url("raw_data", "api")))
    try:
        server = await connection.fetchval("select pg_backend_pid()")
        ours, theirs = time.process_time(), _processor_seconds(server)
        await connection.copy_records_to_table(TABLE, records=rows, columns=Row._fields)
        return {
            "COPY, this process": (time.process_time() - ours) / BATCH_ROWS * 1e6,
            "COPY, Postgres": (_processor_seconds(server) - theirs) / BATCH_ROWS * 1e6,
        }
    finally:
        await connection.close()


def _timed(taken: Numbers, step: str, work: Callable[[], Made]) -> Made:
    started = time.process_time()
    made = work()
    taken[step] = (time.process_time() - started) / BATCH_ROWS * 1e6
    return made


def _processor_seconds(pid: int) -> float:
    """What a process has taken of the processor, in hundredths of a second."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def show(measured: Numbers) -> Table:
    """The measurement as a table."""
    table = Table("", "µs a record", title=f"A batch of {BATCH_ROWS} records, a forest of 100 trees")
    for step, microseconds in measured.items():
        table.add_row(step, f"{microseconds:.1f}")
    table.add_row("together", f"{sum(measured.values()):.1f}")
    return table


if __name__ == "__main__":
    Console().print(show(measure()))

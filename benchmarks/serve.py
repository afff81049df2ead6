"""Serving: the durable `/predict`, beside `mlflow models serve` and beside an API that does nothing.

`python -m benchmarks.serve` measures it alone. The same forest, the same client and the same machine for all; each
server runs alone, Postgres and MLflow's registry beside ours, as they would.
"""

import argparse
import itertools
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any, NamedTuple

import requests
from rich.console import Console
from rich.table import Table

from benchmarks import goals, wrk
from benchmarks.serve_model import ROWS, USE_CASE, fit_pipeline, make_frame, make_record, write_package
from benchmarks.serve_registry import ServedRegistry
from modelyard.embedded.mlflow import embedded_mlflow
from modelyard.embedded.postgres import Postgres, embedded_postgres
from modelyard.embedded.processes import free_ports
from modelyard.settings import child_environment

CONNECTIONS = 16
MANY_CONNECTIONS = 64
BATCH_CONNECTIONS = 4
BATCH_ROWS = 10_000
SECONDS = 5.0
# Each load comes so many times, by turns with what it is compared with: the machine is not as quiet all the time.
TURNS = 3
WARM_UP_SECONDS = 2.0
SWAP_AFTER_SECONDS = 2.0
MANY_REQUESTS = 1_000_000
START_PATIENCE_SECONDS = 120
ASK_EVERY_SECONDS = 0.02
STARTS = 3

API = ("-m", "services.api")
JSON = {"Content-Type": "application/json"}

Numbers = dict[str, float]


class Inputs(NamedTuple):
    """What is posted, and the model.

    Attributes:
        folder: Where all of it is.
        single: A record.
        batch: Many records.
        peer: The same record as `mlflow models serve` takes it.
        model: The model as it takes it.
        package: The same model as ours takes it.
    """

    folder: Path
    single: Path
    batch: Path
    peer: Path
    model: Path
    package: Path


def measure(seconds: float = SECONDS, many_requests: int = MANY_REQUESTS, *, with_peer: bool = True) -> Numbers:
    """Measures all of it.

    Args:
        seconds: How long each load lasts.
        many_requests: After how many requests the memory is looked at again.
        with_peer: Whether `mlflow models serve` is measured, too.

    Raises:
        BadInput: wrk is not installed.
    """
    wrk.check_is_installed()
    with TemporaryDirectory(prefix="modelyard-bench-") as name:
        inputs = make_inputs(Path(name))
        measured = _measure_peer(inputs, seconds) if with_peer else {}
        noop_port = free_ports(1)[0]
        with (
            running(["-m", "benchmarks.serve_noop", str(noop_port)], f"http://127.0.0.1:{noop_port}/docs"),
            embedded_postgres(Path(name)) as postgres,
            embedded_mlflow(Path(name), postgres) as tracking_uri,
        ):
            registry = ServedRegistry(tracking_uri, inputs.package, versions=1 + TURNS)
            registry.promote(1)
            measured |= _measure_ours(postgres, tracking_uri, registry, inputs, seconds, many_requests, noop_port)
    return measured


def make_inputs(folder: Path) -> Inputs:
    """Fits the model and writes what will be posted."""
    import mlflow

    frame = make_frame(ROWS)
    pipeline = fit_pipeline(frame)
    package = folder / "package"
    write_package(package, pipeline, frame)
    records = [make_record(frame, row) for row in range(ROWS)]
    # As most people have it; the format does not change how fast it answers.
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    mlflow.sklearn.save_model(pipeline, folder / "peer", serialization_format="cloudpickle")
    contents = {
        "single.json": records[0],
        "batch.json": [records[number % ROWS] for number in range(BATCH_ROWS)],
        "peer.json": {"dataframe_records": [records[0]]},
    }
    for file, content in contents.items():
        (folder / file).write_text(json.dumps(content), encoding="utf-8")
    single, batch, peer = (folder / file for file in contents)
    return Inputs(folder, single, batch, peer, folder / "peer", package)


@contextmanager
def running(arguments: Sequence[str], ready_url: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """A server in a process of its own, once it answers."""
    # What mlflow starts it looks for on the path, and does not end with itself.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = child_environment({"PATH": path} | {name.upper(): str(value) for name, value in settings.items()})
    command, nowhere = [sys.executable, *arguments], subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=nowhere, stderr=nowhere, start_new_session=True) as process:
        try:
            _wait_until_ready(process, ready_url)
            yield process
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + START_PATIENCE_SECONDS
    while not _answers(url):
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"{process.args!r} does not answer at {url}")
        time.sleep(ASK_EVERY_SECONDS)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _measure_peer(inputs: Inputs, seconds: float) -> Numbers:
    port = free_ports(1)[0]
    command = ["-m", "mlflow", "models", "serve", "-m", str(inputs.model), "--env-manager", "local", "-p", str(port)]
    with running(command, f"http://127.0.0.1:{port}/ping"):
        url = f"http://127.0.0.1:{port}/invocations"
        wrk.post(url, inputs.peer, CONNECTIONS, WARM_UP_SECONDS)
        return {"mlflow_serve_rate": wrk.post(url, inputs.peer, CONNECTIONS, seconds).rate}


def _measure_ours(
    postgres: Postgres,
    tracking_uri: str,
    registry: ServedRegistry,
    inputs: Inputs,
    seconds: float,
    many_requests: int,
    noop_port: int,
) -> Numbers:
    port = free_ports(1)[0]
    settings = {
        "modelyard_home": inputs.folder / "home",
        "raw_database_url": postgres.url("raw_data", "api"),
        "mlflow_tracking_uri": tracking_uri,
        "default_use_case": USE_CASE,
        "api_port": port,
    }
    url = _url(port)
    with running(API, f"http://127.0.0.1:{port}/ready", **settings) as process:
        noop_url = _url(noop_port)
        measured = _measure_rates(url, noop_url, inputs, seconds)
        measured |= _measure_half_load(url, noop_url, inputs, seconds, measured["durable_rate"] / 2)
        measured |= _measure_swap(url, registry, inputs, seconds, measured["durable_rate"] / 2)
        measured |= _measure_memory(process.pid, url, inputs, many_requests, measured["durable_many_rate"])
    return measured | _measure_start(port, inputs, settings)


def _by_turns(*loads: Callable[[], wrk.Load]) -> list[wrk.Load]:
    """What each of some loads measured, value by value the median of its turns."""
    turns = [[load() for load in loads] for _ in range(TURNS)]
    return [wrk.median_of(of_one) for of_one in zip(*turns, strict=True)]


def _measure_rates(url: str, noop_url: str, inputs: Inputs, seconds: float) -> Numbers:
    for warmed in (url, noop_url):
        wrk.post(warmed, inputs.single, CONNECTIONS, WARM_UP_SECONDS)
    noop, single, noop_many, many, batch = _by_turns(
        lambda: wrk.post(noop_url, inputs.single, CONNECTIONS, seconds),
        lambda: wrk.post(url, inputs.single, CONNECTIONS, seconds),
        lambda: wrk.post(noop_url, inputs.single, MANY_CONNECTIONS, seconds),
        lambda: wrk.post(url, inputs.single, MANY_CONNECTIONS, seconds),
        lambda: wrk.post(f"{url}/batch", inputs.batch, BATCH_CONNECTIONS, seconds),
    )
    return {
        "noop_rate": noop.rate,
        "noop_many_rate": noop_many.rate,
        "durable_rate": single.rate,
        "durable_p99_ms": single.p99_ms,
        "durable_many_rate": many.rate,
        "batch_rows_rate": batch.rate * BATCH_ROWS,
        "failed_requests": single.failed + many.failed + batch.failed,
    }


def _measure_half_load(url: str, noop_url: str, inputs: Inputs, seconds: float, rate: float) -> Numbers:
    noop, ours = _by_turns(
        lambda: wrk.post(noop_url, inputs.single, MANY_CONNECTIONS, seconds, rate),
        lambda: wrk.post(url, inputs.single, MANY_CONNECTIONS, seconds, rate),
    )
    return {
        "half_load_rate": ours.rate,
        "half_load_p99_ms": ours.p99_ms,
        "noop_half_load_rate": noop.rate,
        "noop_half_load_p99_ms": noop.p99_ms,
    }


def _measure_swap(url: str, registry: ServedRegistry, inputs: Inputs, seconds: float, rate: float) -> Numbers:
    # Always one that this process has not loaded yet.
    versions = itertools.count(2)
    seconds_of_swap = max(seconds, SWAP_AFTER_SECONDS + 4)
    before, during = _by_turns(
        lambda: wrk.post(url, inputs.single, MANY_CONNECTIONS, seconds_of_swap, rate),
        lambda: _post_and_swap(url, registry, inputs, seconds_of_swap, rate, next(versions)),
    )
    return {
        "swap_p99_before_ms": before.p99_ms,
        "swap_p99_ms": during.p99_ms,
        "swap_failed_requests": during.failed + before.failed,
    }


def _post_and_swap(
    url: str, registry: ServedRegistry, inputs: Inputs, seconds: float, rate: float, version: int
) -> wrk.Load:
    timer = Timer(SWAP_AFTER_SECONDS, registry.promote, (version,))
    timer.start()
    load = wrk.post(url, inputs.single, MANY_CONNECTIONS, seconds, rate)
    timer.join()
    answer = requests.post(url, data=inputs.single.read_bytes(), headers=JSON, timeout=9)
    if answer.json()["model_version"] != version:
        raise RuntimeError("the version was not swapped while it was measured")
    return load


def _measure_memory(pid: int, url: str, inputs: Inputs, many_requests: int, rate: float) -> Numbers:
    before, done = memory_mb(pid), 0
    while done < many_requests:
        left = (many_requests - done) / rate
        done += wrk.post(url, inputs.single, MANY_CONNECTIONS, max(1, left)).requests
    return {"worker_mb": before, "worker_mb_after": memory_mb(pid), "requests_before_that": done}


def _measure_start(port: int, inputs: Inputs, settings: Mapping[str, object]) -> Numbers:
    """With the model in the cache and no registry: from the start of the process to its first answer."""
    alone = dict(settings) | {"mlflow_tracking_uri": f"http://127.0.0.1:{free_ports(1)[0]}"}
    environment = child_environment({name.upper(): str(value) for name, value in alone.items()})
    taken = []
    for _ in range(STARTS):
        started = time.monotonic()
        with subprocess.Popen([sys.executable, *API], env=environment, stderr=subprocess.DEVNULL) as api:
            try:
                _wait_for_answer(_url(port), inputs.single, started)
                taken.append(time.monotonic() - started)
            finally:
                api.terminate()
    return {"start_seconds": sorted(taken)[len(taken) // 2]}


def _wait_for_answer(url: str, body: Path, started: float) -> None:
    content = body.read_bytes()
    while time.monotonic() < started + START_PATIENCE_SECONDS:
        try:
            if requests.post(url, data=content, headers=JSON, timeout=9).ok:
                return
        except requests.ConnectionError:
            time.sleep(ASK_EVERY_SECONDS)
    raise RuntimeError(f"{url} has not answered")


def memory_mb(pid: int) -> float:
    """What a process holds of the memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _url(port: int) -> str:
    return f"http://127.0.0.1:{port}/predict/{USE_CASE}"


def ratios(measured: Numbers) -> Numbers:
    """What the goals are held against."""
    found = {
        "durable_over_noop": measured["durable_rate"] / measured["noop_rate"],
        "p99_over_noop": measured["half_load_p99_ms"] / measured["noop_half_load_p99_ms"],
        "half_load_p99_ms": measured["half_load_p99_ms"],
        "swap_p99_over_before": measured["swap_p99_ms"] / measured["swap_p99_before_ms"],
        "swap_failed_requests": measured["swap_failed_requests"],
        "batch_over_single": measured["batch_rows_rate"] / max(measured["durable_rate"], measured["durable_many_rate"]),
        "start_seconds": measured["start_seconds"],
        "worker_mb": measured["worker_mb"],
        "worker_mb_after": measured["worker_mb_after"],
    }
    if "mlflow_serve_rate" in measured:
        found["durable_over_mlflow_serve"] = measured["durable_rate"] / measured["mlflow_serve_rate"]
    return found


def show(measured: Numbers) -> Table:
    """The measurement as a table."""
    table = Table("", "measured", title="Serving: a forest of 100 trees, 11 features")
    for title, name, digits in (
        (f"mlflow models serve, {CONNECTIONS} connections, requests/s", "mlflow_serve_rate", 0),
        ("an API that does nothing", "noop_rate", 0),
        ("durable /predict", "durable_rate", 0),
        ("  its p99, ms", "durable_p99_ms", 1),
        (f"an API that does nothing, {MANY_CONNECTIONS} connections", "noop_many_rate", 0),
        ("durable /predict", "durable_many_rate", 0),
        (f"batches of {BATCH_ROWS:,} records, {BATCH_CONNECTIONS} connections, records/s", "batch_rows_rate", 0),
        ("half the load of durable /predict, requests/s", "half_load_rate", 0),
        ("  its p99, ms", "half_load_p99_ms", 1),
        ("  that of an API that does nothing, ms", "noop_half_load_p99_ms", 1),
        ("  p99 before a swap, ms", "swap_p99_before_ms", 1),
        ("  p99 with a swap, ms", "swap_p99_ms", 1),
        ("  failed requests", "swap_failed_requests", 0),
        ("memory of the worker, MB", "worker_mb", 0),
        (f"  after {measured['requests_before_that']:,.0f} more requests", "worker_mb_after", 0),
        ("start to first answer, s", "start_seconds", 2),
    ):
        value = f"{measured[name]:,.{digits}f}" if name in measured else "not measured"
        table.add_row(title, value)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="Measures serving beside its peers.")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each load lasts")
    parser.add_argument("--requests", type=int, default=MANY_REQUESTS, help="after how many memory is looked at again")
    parser.add_argument("--no-peer", action="store_true", help="without mlflow models serve")
    chosen: Any = parser.parse_args(arguments)
    measured = measure(chosen.seconds, chosen.requests, with_peer=not chosen.no_peer)
    Console().print(show(measured))
    goals.show(ratios(measured))


if __name__ == "__main__":
    main()

"""What Prometheus can read at `/metrics`: requests, what waits to be kept, and what is served.

With several processes behind one port, each writes its numbers to files that all can read, in the folder that the
environment names (`PROMETHEUS_MULTIPROC_DIR`, set by what starts them); whichever is asked adds them up.
"""

import os
from functools import cache
from pathlib import Path

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
ANSWERED = "answered"

REQUEST_SECONDS = Histogram(
    "modelyard_request_duration_seconds",
    "Duration of prediction requests, by outcome.",
    ["use_case", "model_version", "outcome"],
    buckets=BUCKETS,
)
RECORDS = Counter("modelyard_batch_records", "Records answered in batches.", ["use_case", "model_version"])
SPOOLED = Counter(
    "modelyard_spooled_records", "Records written to the spool on disk because the database did not accept them."
)
SWAPS = Counter("modelyard_model_swaps", "Model versions that started to serve.", ["use_case"])
SHADOWED = Counter(
    "modelyard_shadow_records",
    "Records submitted to the challenger, by outcome.",
    ["use_case", "model_version", "outcome"],
)
UNDER_WAY = Gauge("modelyard_requests_in_flight", "Prediction requests in flight.", multiprocess_mode="livesum")
WAITING = Gauge(
    "modelyard_prediction_log_queue_length", "Requests waiting to be committed.", multiprocess_mode="livesum"
)
SPOOL_ROWS = Gauge(
    "modelyard_spool_rows", "Rows in the spool, to be written to the database.", multiprocess_mode="livesum"
)
SPOOL_BYTES = Gauge("modelyard_spool_bytes", "Size of the spool in bytes.", multiprocess_mode="livesum")
SPOOL_REFUSED = Gauge(
    "modelyard_spool_refused_rows", "Rows in the spool that the database rejected.", multiprocess_mode="livesum"
)
DATABASE_DOWN = Gauge(
    "modelyard_processes_without_database",
    "API processes that cannot reach the database and write to the spool.",
    multiprocess_mode="livesum",
)
VERSION = Gauge(
    "modelyard_model_version", "The model version that is served.", ["use_case"], multiprocess_mode="livemin"
)
LOADED_AT = Gauge(
    "modelyard_model_loaded_timestamp_seconds",
    "When the served version was loaded; its age is time() minus this.",
    ["use_case"],
    multiprocess_mode="livemin",
)


def note_request(use_case: str, version: str, outcome: str, seconds: float) -> None:
    """Counts a request for a prediction."""
    _seconds_of(use_case, version, outcome).observe(seconds)


def note_records(use_case: str, version: str, count: int) -> None:
    """Counts records of a batch that were answered."""
    _records_of(use_case, version).inc(count)


def note_shadowed(use_case: str, version: str, outcome: str, count: int) -> None:
    """Counts records that a challenger was to be asked about."""
    if count:
        SHADOWED.labels(use_case, version, outcome).inc(count)


def exposition() -> tuple[bytes, str]:
    """All numbers as Prometheus reads them, and the type of that text."""
    registry = REGISTRY
    if SHARED_FOLDER in os.environ:
        _forget_dead(Path(os.environ[SHARED_FOLDER]))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _forget_dead(folder: Path) -> None:
    """Of processes that have ended, what they counted stays, and what was so as they ended is so no more."""
    for file in folder.glob("gauge_live*_*.db"):
        try:
            os.kill(int(file.stem.rpartition("_")[2]), 0)
        except ProcessLookupError:
            file.unlink(missing_ok=True)


# Finding a metric by its labels takes longer than counting.
@cache
def _seconds_of(use_case: str, version: str, outcome: str) -> Histogram:
    return REQUEST_SECONDS.labels(use_case, version, outcome)


@cache
def _records_of(use_case: str, version: str) -> Counter:
    return RECORDS.labels(use_case, version)

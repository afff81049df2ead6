"""Loan approval on a platform of its own, for the tests of the pipeline."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelyard.catalog import find_use_case
from modelyard.embedded.postgres import Postgres
from modelyard.settings import Settings
from modelyard.steps.stores import Platform, connected
from modelyard.use_case import UseCase
from tests.integration.pipeline import ROWS, rows, write


@pytest.fixture
def use_case() -> UseCase:
    """Loan approval under a name of its own, with its fastest candidate."""
    loans = find_use_case("loan_approval")
    name = f"loans_{uuid.uuid4().hex[:8]}"
    return loans.model_copy(update={"name": name, "candidates": loans.candidates[:1]})


@pytest.fixture
def platform(empty_postgres: Postgres, tracking_uri: str, home: Path) -> Iterator[Platform]:
    settings = Settings(_env_file=None, modelyard_home=home, api_heartbeat_fresh_seconds=60, deploy_timeout_seconds=2)
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write(tmp_path / "loans.csv", rows(ROWS))

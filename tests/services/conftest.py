"""API processes for the tests."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from modelyard.local.postgres import Postgres
from tests.services.made_models import LOAN_RECORD, FolderSource, loan_contract
from tests.services.running_api import RunningApi, running_api

StartApi = Callable[..., AbstractContextManager[RunningApi]]


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    """A source of models with one version of loan approval, in production."""
    made = FolderSource(tmp_path / "registry")
    made.put(1, loan_contract(), LOAN_RECORD)
    made.point(loan_approval=1)
    return made


@pytest.fixture
def start_api(tmp_path: Path, source: FolderSource, empty_postgres: Postgres) -> StartApi:
    """Starts API processes on `source`, all with the same home."""

    def start(**settings: object) -> AbstractContextManager[RunningApi]:
        url = settings.pop("raw_database_url", empty_postgres.url("raw_data", "api"))
        arguments = ["tests.services.folder_api", str(source.folder)]
        return running_api(arguments, tmp_path / "home", str(url), **settings)

    return start


@pytest.fixture
def api(start_api: StartApi) -> Iterator[RunningApi]:
    """An API that answers loan approval."""
    with start_api() as running:
        running.wait_for_version(1)
        yield running

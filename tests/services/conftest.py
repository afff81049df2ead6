"""API processes for the tests.

Starting one takes a second or two, so the tests of a module share one where they can: each with a use case of its own.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from modelyard.contract import Contract
from modelyard.embedded.postgres import Postgres
from tests.services.folder_source import FolderSource
from tests.services.made_models import LOAN_RECORD, loan_contract, put
from tests.services.own_postgres import OwnPostgres
from tests.services.running_api import RunningApi, running_api, wait_until

StartApi = Callable[..., AbstractContextManager[RunningApi]]

NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """A use case of one test, served by an API.

    Attributes:
        name: Its name.
        source: Where its versions come from.
        api: Who serves it.
    """

    name: str
    source: FolderSource
    api: RunningApi

    def contract(self, **changes: Any) -> Contract:
        """That of loan approval, under this name."""
        return loan_contract().model_copy(update={"use_case": self.name} | changes)

    def put(self, version: int, contract: Contract | None = None, **how: Any) -> Path:
        """Adds a version; returns its folder."""
        put(self.source, version, contract or self.contract(), LOAN_RECORD, **how)
        return self.source.folder / self.name / str(version)

    def point(self, version: int) -> None:
        """Puts a version in production."""
        self.source.point(**{self.name: version})

    def promote(self, version: int, contract: Contract | None = None, **how: Any) -> None:
        """Adds a version, puts it in production and waits until it is served."""
        self.put(version, contract, **how)
        self.point(version)
        self.api.wait_for_version(version, self.name)

    def answer(self) -> dict[str, Any]:
        """The answer to the usual record."""
        return self.api.answer(LOAN_RECORD, self.name)

    def health(self) -> dict[str, Any]:
        """What the API says of it."""
        return self.api.health(self.name)

    def wait_for_failure(self, version: int) -> str:
        """Returns what is said of a version when it has failed its self-test."""
        wait_until(lambda: self.health().get("target_version") == version, self.api.logged)
        assert self.health()["self_test"] == "failed"
        return str(self.health()["detail"])


@pytest.fixture(scope="module")
def shared_source(tmp_path_factory: pytest.TempPathFactory) -> FolderSource:
    """A source of models in which nothing is in production yet."""
    made = FolderSource(tmp_path_factory.mktemp("registry"))
    made.point()
    return made


@pytest.fixture(scope="module")
def shared_api(
    shared_source: FolderSource, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningApi]:
    """One API for the tests of a module."""
    arguments = ["tests.services.folder_api", str(shared_source.folder)]
    with running_api(arguments, tmp_path_factory.mktemp("home"), postgres.url("raw_data", "api")) as running:
        yield running


@pytest.fixture
def case(shared_api: RunningApi, shared_source: FolderSource, raw_engine: Engine) -> Case:
    """A use case whose version 1 is served. What is kept in the database is gone after the test."""
    assert raw_engine
    made = Case(f"case_{next(NUMBERS)}", shared_source, shared_api)
    made.promote(1)
    return made


@pytest.fixture
def source(tmp_path: Path) -> FolderSource:
    """A source of models of one test's own, with one version of loan approval in production."""
    made = FolderSource(tmp_path / "registry")
    put(made, 1, loan_contract(), LOAN_RECORD)
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
def own_postgres() -> Iterator[OwnPostgres]:
    """A Postgres that this test may stop, in a folder with a short path."""
    with tempfile.TemporaryDirectory(prefix="modelyard-test-") as folder, ExitStack() as stack:
        yield OwnPostgres(Path(folder).resolve(), stack)

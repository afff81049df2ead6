"""From a file that nobody has declared to an answer, without a hand on the code."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from modelyard.authoring.draft import Question
from modelyard.authoring.new import new, new_of_pictures
from modelyard.catalog import find_use_case
from modelyard.contract import TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.settings import Settings
from modelyard.steps.deploy import deploy
from modelyard.steps.score import score
from modelyard.steps.stores import Platform, connected
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import UseCase
from tests.integration import test_pictures
from tests.integration.test_every_kind import loop
from tests.painted import write_photos
from tests.services.running_api import RunningApi, running_api
from tests.strange_tables import CHURN, FLATS, FLOWERS, Strange

# Reading a file of 100 000 records and proposing a use case for it.
PROPOSING_SECONDS = 60


@pytest.fixture
def settings(home: Path, tmp_path: Path) -> Settings:
    return Settings(
        _env_file=None,
        modelyard_home=home,
        data_url=str(tmp_path / "data"),
        use_cases_path=tmp_path / "use_cases",
        objects_url=str(tmp_path / "objects"),
    )


@pytest.fixture
def platform(settings: Settings, empty_postgres: Postgres, tracking_uri: str) -> Iterator[Platform]:
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture(scope="module")
def api(tracking_uri: str, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    home, url = tmp_path_factory.mktemp("home"), postgres.url("raw_data", "api")
    with running_api(["services.api"], home, url, mlflow_tracking_uri=tracking_uri) as running:
        yield running


def proposed(settings: Settings, strange: Strange, rows: int, folder: Path) -> UseCase:
    """The use case that `modelyard new` writes for a table, with its source as this machine finds it."""
    name = f"own_{uuid.uuid4().hex[:8]}"
    file = strange.write(folder / "table.csv", rows)
    assert settings.use_cases_path is not None
    settings.use_cases_path.mkdir()
    asked = Question(name, str(file), strange.target, strange.key, None, settings.allowed_bad_share)
    new(settings, asked, force=False)
    found = find_use_case(name, settings.use_cases_path)
    return found.model_copy(update={"source": f"{settings.data_url}/{found.source}"})


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("strange", "rows", "kind"),
    [
        (FLOWERS, 200, TaskKind.MULTICLASS),
        pytest.param(FLATS, 2_000, TaskKind.REGRESSION, marks=pytest.mark.long),
        (CHURN, 2_000, TaskKind.BINARY),
        pytest.param(CHURN, 100_000, TaskKind.BINARY, marks=pytest.mark.long),
    ],
)
def test_from_a_file_to_an_answer(
    strange: Strange,
    rows: int,
    kind: TaskKind,
    settings: Settings,
    platform: Platform,
    api: RunningApi,
    raw_engine: Engine,
    tmp_path: Path,
) -> None:
    started = time.monotonic()
    use_case = proposed(settings, strange, rows, tmp_path)
    assert time.monotonic() - started < PROPOSING_SECONDS
    assert use_case.kind is kind
    promoted = loop(use_case, platform)
    assert promoted.verdict is Verdict.PROMOTED, promoted.reasons
    assert "answers in 1 API process" in deploy(use_case, platform).message
    example = api.client.get("/info").json()["use_cases"][use_case.name]["example"]
    answer = api.answer(example, use_case.name)
    assert answer["warnings"] == []
    classes = use_case.target.classes
    assert answer["prediction"] in classes if classes else isinstance(answer["prediction"], float)
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 1
        assert connection.scalar(text(f"select count(*) from {use_case.name}")) == rows
    for source in (use_case.source, f"raw_data.{use_case.name}"):
        scored = score(use_case, platform, source, str(tmp_path / f"{len(source)}.csv"), log=False, tell=lambda _: None)
        assert (scored.rows, scored.problems) == (rows, 0)


@pytest.mark.timeout(600)
def test_from_a_folder_of_pictures_to_an_answer(
    settings: Settings, platform: Platform, api: RunningApi, raw_engine: Engine, tmp_path: Path
) -> None:
    folder = write_photos(tmp_path / "data" / "sky", 150)
    name = f"own_{uuid.uuid4().hex[:8]}"
    new_of_pictures(settings, name, str(folder), force=False)
    use_case = find_use_case(name, settings.use_cases_path)
    promoted = test_pictures.loop(use_case, platform, folder)
    assert promoted.verdict is Verdict.PROMOTED, promoted.reasons
    assert "answers in 1 API process" in deploy(use_case, platform).message
    example = api.client.get("/info").json()["use_cases"][name]["example"]
    assert api.answer(example, name)["prediction"] in use_case.target.classes
    with raw_engine.connect() as connection:
        assert connection.scalar(text("select count(*) from predictions")) == 1

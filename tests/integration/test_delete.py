"""A use case is deleted with all that is its own, and with nothing of another's."""

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from sqlalchemy import text

from modelyard.catalog import Catalog
from modelyard.errors import UnknownUseCase
from modelyard.settings import child_environment
from modelyard.steps.delete import belongings, delete_use_case
from modelyard.steps.stores import Platform
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import UseCase
from tests.integration.pipeline import loop

TABLES = "select table_name from information_schema.tables where table_schema = 'public'"
ADD_PREDICTION = """
insert into predictions (request_id, use_case, model_version, features, prediction, latency_ms)
values (gen_random_uuid(), :name, 1, '{}', '1', 1)
"""
# What says how often the gate has looked is the platform's.
STAYS = {"gate_looks"}


def rows_of(platform: Platform, name: str) -> dict[str, int]:
    """How many rows each table has of a use case; a table of its own has them all."""
    found: dict[str, int] = {}
    for engine in (platform.raw.engine, platform.clean.engine):
        with engine.connect() as connection:
            for table in connection.scalars(text(TABLES)).all():
                columns = connection.execute(text(f'select * from "{table}" limit 0')).keys()
                if table == name or "use_case" in columns:
                    where = "" if table == name else f" where use_case = '{name}'"
                    count = connection.scalar(text(f'select count(*) from "{table}"{where}'))
                    found[table] = found.get(table, 0) + int(count or 0)
    return {table: count for table, count in found.items() if count and table not in STAYS}


def test_all_that_is_its_own_goes_and_it_can_begin_anew(use_case: UseCase, platform: Platform, records: Path) -> None:
    other = use_case.model_copy(update={"name": f"{use_case.name}__other"})
    catalog = Catalog({use_case.name: use_case, other.name: other}, ())
    for each in (use_case, other):
        assert loop(each, platform, records).verdict is Verdict.PROMOTED
        with platform.raw.engine.begin() as connection:
            connection.execute(text(ADD_PREDICTION), {"name": each.name})
        platform.objects.put(f"{each.name}/pictures/one", b"picture")
    before = rows_of(platform, other.name)
    found = belongings(use_case.name, catalog, platform)
    assert (found.data_names, found.versions, found.predictions) == ((use_case.name,), (1,), 1)
    assert delete_use_case(found, platform) == found
    assert rows_of(platform, use_case.name) == {}
    assert platform.registry.versions(use_case.name) == []
    assert not platform.objects.has(f"{use_case.name}/pictures/one")
    assert rows_of(platform, other.name) == before
    assert platform.objects.has(f"{other.name}/pictures/one")
    assert [version.number for version in platform.registry.versions(other.name)] == [1]
    with pytest.raises(UnknownUseCase, match="nothing that one of this name has left"):
        belongings(use_case.name, Catalog({other.name: other}, ()), platform)
    assert loop(use_case, platform, records, "second").verdict is Verdict.PROMOTED


def test_a_version_that_an_interrupted_deletion_left_can_be_registered_again(
    use_case: UseCase, platform: Platform, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert loop(use_case, platform, records).verdict is Verdict.PROMOTED
    monkeypatch.setattr(platform.registry, "versions", interrupt)
    with pytest.raises(KeyboardInterrupt):
        platform.registry.delete_use_case(use_case.name)
    monkeypatch.undo()
    assert platform.registry.offered()[use_case.name].is_deleted
    [left] = platform.registry.versions(use_case.name)
    assert platform.registry.register(use_case.name, left.run_id, "models:/unused", {}) == left.number
    assert not platform.registry.offered()[use_case.name].is_deleted


def interrupt(_: str) -> NoReturn:
    raise KeyboardInterrupt


def test_where_nobody_can_be_asked_nothing_is_deleted(
    use_case: UseCase, platform: Platform, records: Path, tracking_uri: str, home: Path
) -> None:
    assert loop(use_case, platform, records).verdict is Verdict.PROMOTED
    urls = {
        "RAW_DATABASE_URL": platform.raw.engine.url.render_as_string(hide_password=False),
        "CLEAN_DATABASE_URL": platform.clean.engine.url.render_as_string(hide_password=False),
        "MLFLOW_TRACKING_URI": tracking_uri,
        "MODELYARD_HOME": str(home),
    }
    command = [str(Path(sys.executable).with_name("modelyard")), "delete-use-case", use_case.name]

    def run(*options: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *options],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=child_environment(urls),
        )

    refused = run()
    assert refused.returncode == 2
    assert "--yes deletes" in refused.stderr
    assert platform.registry.versions(use_case.name)
    done = run("--yes")
    assert done.returncode == 0, done.stderr
    assert rows_of(platform, use_case.name) == {}

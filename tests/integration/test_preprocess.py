"""Snapshots on a real Postgres: the newest revision of each record, parted for ever, whole or not there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Feature, FeatureType, Limits
from modelyard.embedded.postgres import Postgres
from modelyard.errors import ContractChanged, NothingToWorkOn, ServiceUnavailable
from modelyard.split import parts_of
from modelyard.steps.load import load
from modelyard.steps.preprocess import PreprocessResult, preprocess
from modelyard.stores.database import make_engine
from modelyard.stores.records import raw as raw_module
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import PARTS, Split, UseCase
from tests.shops import FEATURES, csv_of, rows, shops

PARTITIONS = r"select count(*) from pg_tables where tablename like 'snapshot\_%'"


@pytest.fixture
def raw(raw_engine: Engine) -> RawStore:
    return RawStore(raw_engine)


@pytest.fixture
def clean(clean_engine: Engine) -> CleanStore:
    return CleanStore(clean_engine)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shops.csv"


def load_lines(raw: RawStore, file: Path, lines: list[str], use_case: UseCase | None = None) -> None:
    file.write_text(csv_of(lines), encoding="utf-8")
    load(use_case or shops(), str(file), raw, 0.05)


def fetch(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def stored(engine: Engine, snapshot_id: str) -> list[tuple[Any, ...]]:
    columns = "record_key, part, floor_area, staff, open_sunday, kind, verdict"
    return fetch(engine, f"select {columns} from shops where snapshot_id = '{snapshot_id}' order by 1")


def test_a_snapshot_holds_the_newest_revision_of_each_record(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path
) -> None:
    load_lines(raw, file, ["a,1,2,0,bakery,good", "b,2,,,,bad", "c,3,,0,,good"])
    load_lines(raw, file, ["a,10,2,1,bakery,good", "c,3,,0,,good", "d,4,,0,,bad"])
    load_lines(raw, file, ["a,100,,,,bad"])
    result = preprocess(shops(), raw, clean)
    part = dict(zip("abcd", parts_of(list("abcd"), Split()), strict=True))
    assert stored(clean_engine, result.snapshot_id) == [
        ("a", part["a"], 100.0, None, None, None, "bad"),
        ("b", part["b"], 2.0, None, None, None, "bad"),
        ("c", part["c"], 3.0, None, False, None, "good"),
        ("d", part["d"], 4.0, None, False, None, "bad"),
    ]
    assert result.new
    assert result.rows == {each: list(part.values()).count(each) for each in PARTS}
    latest = clean.latest("shops")
    assert latest is not None
    assert (latest.snapshot_id, latest.rows, latest.contract) == (result.snapshot_id, result.rows, shops().contract())
    assert clean.count("shops") == 4


def test_without_records_there_is_nothing_to_do(raw: RawStore, clean: CleanStore) -> None:
    with pytest.raises(NothingToWorkOn, match="no records of shops were loaded yet: run `modelyard load` first"):
        preprocess(shops(), raw, clean)
    assert clean.latest("shops") is None
    assert clean.count("shops") == 0


def test_the_same_again_is_the_same_snapshot_and_costs_nothing(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_lines(raw, file, rows(100))
    first = preprocess(shops(), raw, clean)
    monkeypatch.setattr(RawStore, "latest", pytest.fail)
    again = preprocess(shops(), raw, clean)
    assert again == first.model_copy(update={"new": False})
    assert fetch(clean_engine, "select count(*) from shops") == [(100,)]


def test_the_id_follows_from_records_contract_and_split_alone(
    raw: RawStore, clean: CleanStore, raw_engine: Engine, file: Path
) -> None:
    load_lines(raw, file, rows(100))
    first = preprocess(shops(), raw, clean).snapshot_id
    with raw_engine.begin() as connection:
        connection.execute(text("delete from batches"))
        connection.execute(text("drop table shops"))
    load_lines(raw, file.with_name("other.csv"), rows(100))
    assert preprocess(shops(), raw, clean).snapshot_id == first
    titled = shops().model_copy(update={"title": "Stores", "description": "other words"})
    assert preprocess(titled, raw, clean).snapshot_id == first
    others = [
        shops().model_copy(update={"split": Split(seed=1)}),
        shops().model_copy(update={"split": Split(train=0.6, validation=0.2, test=0.2)}),
        shops(features=(*FEATURES, Feature(name="rooms", type=FeatureType.INTEGER, nullable=True))),
    ]
    load_lines(raw, file, rows(101))
    ids = [preprocess(each, raw, clean).snapshot_id for each in (shops(), *others)]
    assert len({first, *ids}) == 5


def test_a_file_that_brings_nothing_new_changes_no_snapshot(raw: RawStore, clean: CleanStore, file: Path) -> None:
    load_lines(raw, file, rows(100))
    first = preprocess(shops(), raw, clean)
    load_lines(raw, file, rows(50))
    assert not preprocess(shops(), raw, clean).new
    assert preprocess(shops(), raw, clean).snapshot_id == first.snapshot_id


def test_a_record_stays_in_its_part(raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path) -> None:
    load_lines(raw, file, rows(500))
    first = preprocess(shops(), raw, clean)
    load_lines(raw, file, [*rows(250, first=1000), *(line.replace(",good", ",bad") for line in rows(400))])
    second = preprocess(shops(), raw, clean)
    before, after = (
        {key: part for key, part, *_ in stored(clean_engine, result.snapshot_id)} for result in (first, second)
    )
    assert len(after) == 750
    assert {key: after[key] for key in before} == before
    assert set(before.values()) == set(PARTS)


def test_frames_are_what_models_are_trained_on(raw: RawStore, clean: CleanStore, file: Path) -> None:
    load_lines(raw, file, ["b,2.5,,,,bad", "a,0.1e1,2,yes,bakery,good", "Z,16777217,,0,book shop,bad"], unlimited())
    snapshot_id = preprocess(unlimited(), raw, clean).snapshot_id
    frames = {part: clean.frame(unlimited(), snapshot_id, part) for part in PARTS}
    assert sum(map(len, frames.values())) == 3
    for frame in frames.values():
        assert frame.index.name == "record_key"
        assert frame.index.tolist() == sorted(frame.index)
        assert frame.dtypes.astype(str).tolist() == ["float32", "float32", "float32", "str", "str"]
    together = pd.concat(frames.values())
    a, b, z = together.loc["a"], together.loc["b"], together.loc["Z"]
    assert list(a) == [1, 2, 1, "bakery", "good"]
    assert (b["floor_area"], b["kind"], b["verdict"]) == (2.5, "", "bad")
    assert np.isnan(b["staff"])
    assert np.isnan(b["open_sunday"])
    assert z["floor_area"] == np.float32(16777217)


def unlimited() -> UseCase:
    area = Feature(name="floor_area", type=FeatureType.NUMBER)
    return shops(features=(area, *FEATURES[1:]))


def test_an_empty_part_is_an_empty_frame(raw: RawStore, clean: CleanStore, file: Path) -> None:
    load_lines(raw, file, rows(1))
    snapshot_id = preprocess(shops(), raw, clean).snapshot_id
    frames = [clean.frame(shops(), snapshot_id, part) for part in PARTS]
    assert sorted(map(len, frames)) == [0, 0, 1]
    assert len({str(frame.dtypes.to_dict()) for frame in frames}) == 1


def test_whole_numbers_stay_labels_and_real_ones_targets(raw: RawStore, clean: CleanStore, file: Path) -> None:
    for name, classes, dtype in (("whole", (0, 1), "int64"), ("real", (), "float64")):
        use_case = shops(name=name, classes=classes)
        load_lines(raw, file, ["a,1,,,,1", "b,1,,,,0"], use_case)
        snapshot_id = preprocess(use_case, raw, clean).snapshot_id
        targets = [clean.frame(use_case, snapshot_id, part)["verdict"] for part in PARTS]
        assert {str(target.dtype) for target in targets} == {dtype}
        assert sorted(value for target in targets for value in target) == [0, 1]


def test_texts_come_through_unharmed(raw: RawStore, clean: CleanStore, file: Path) -> None:
    kind = Feature(name="kind", type=FeatureType.CATEGORY, nullable=True)
    use_case = shops(features=(*FEATURES[:3], kind))
    texts = ["\\N", "\\.", "NULL", 'a "b" c', "x,y", "über\tö", " ", "line\nend", "t", "f", "0", ""]
    lines = ['k{},1,,,"{}",good'.format(n, odd.replace('"', '""')) for n, odd in enumerate(texts)]
    load_lines(raw, file, lines, use_case)
    snapshot_id = preprocess(use_case, raw, clean).snapshot_id
    frames = [clean.frame(use_case, snapshot_id, part) for part in PARTS]
    found = {key: odd for frame in frames for key, odd in frame["kind"].items()}
    # But for blanks around them, which mean nothing.
    assert found == {f"k{n}": odd.strip(" ") for n, odd in enumerate(texts)}


def test_records_are_fetched_by_pages(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_lines(raw, file, [*rows(100), "'; drop table shops --,1,,,,good", "%(after)s,1,,,,good", ":after,1,,,,good"])
    load_lines(raw, file, [line.replace(",good", ",bad") for line in rows(100)])
    whole = preprocess(shops(), raw, clean)
    rows_before = stored(clean_engine, whole.snapshot_id)
    monkeypatch.setattr(raw_module, "PAGE_ROWS", 7)
    clean.prune("shops", keep=0)
    paged = preprocess(shops(), raw, clean)
    assert paged == whole
    assert stored(clean_engine, paged.snapshot_id) == rows_before


def test_a_contract_that_gained_a_nullable_feature_changes_the_tables(
    raw: RawStore, clean: CleanStore, file: Path
) -> None:
    load_lines(raw, file, rows(10))
    first = preprocess(shops(), raw, clean)
    gained = shops(features=(*FEATURES, Feature(name="rooms", type=FeatureType.INTEGER, nullable=True)))
    second = preprocess(gained, raw, clean)
    assert second.snapshot_id != first.snapshot_id
    assert clean.frame(gained, second.snapshot_id, "train")["rooms"].isna().all()
    assert clean.frame(gained, first.snapshot_id, "train")["rooms"].isna().all()
    assert preprocess(shops(), raw, clean) == first.model_copy(update={"new": False})


def test_any_other_change_of_the_contract_is_refused(raw: RawStore, clean: CleanStore, file: Path) -> None:
    load_lines(raw, file, rows(10))
    preprocess(shops(), raw, clean)
    with pytest.raises(ContractChanged, match="table shops of raw_data any more: kind is gone"):
        preprocess(shops(features=FEATURES[:3]), raw, clean)


def test_records_that_a_narrowed_contract_no_longer_allows_are_named(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path
) -> None:
    load_lines(raw, file, rows(100))
    narrowed = FEATURES[0].model_copy(update={"valid": Limits(minimum=1, maximum=50)})
    sentence = "raw_data, table shops: 2 records do not fit the contract .* record 's100', floor_area: 51.0 is outside"
    with pytest.raises(ContractChanged, match=sentence):
        preprocess(shops(features=(narrowed, *FEATURES[1:])), raw, clean)
    assert clean.latest("shops") is None
    assert fetch(clean_engine, PARTITIONS) == [(0,)]


def snapshots(raw: RawStore, clean: CleanStore, file: Path, count: int) -> list[PreprocessResult]:
    made = []
    for number in range(count):
        load_lines(raw, file, rows(10 + number))
        made.append(preprocess(shops(), raw, clean))
    return made


def test_old_snapshots_are_pruned_but_not_protected_ones(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path
) -> None:
    ids = [result.snapshot_id for result in snapshots(raw, clean, file, 5)]
    assert clean.prune("shops", keep=2, protect={ids[1]}) == [ids[2], ids[0]]
    assert {row[0] for row in fetch(clean_engine, "select distinct snapshot_id from shops")} == {ids[1], ids[3], ids[4]}
    assert fetch(clean_engine, PARTITIONS) == [(3,)]
    assert clean.prune("shops", keep=2, protect={ids[1]}) == []
    assert clean.prune("unknown", keep=1) == []
    assert clean.count("shops") == 14
    latest = clean.latest("shops")
    assert latest is not None
    assert latest.snapshot_id == ids[4]


def test_the_latest_snapshot_is_the_one_that_was_asked_for_last(raw: RawStore, clean: CleanStore, file: Path) -> None:
    other_split = shops().model_copy(update={"split": Split(seed=1)})
    load_lines(raw, file, rows(10))
    first, second = preprocess(shops(), raw, clean), preprocess(other_split, raw, clean)
    preprocess(shops(), raw, clean)
    latest = clean.latest("shops")
    assert latest is not None
    assert latest.snapshot_id == first.snapshot_id
    assert clean.prune("shops", keep=1) == [second.snapshot_id]


def test_two_at_once_make_one_snapshot(raw: RawStore, clean: CleanStore, clean_engine: Engine, file: Path) -> None:
    load_lines(raw, file, rows(2000))
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda _: preprocess(shops(), raw, clean), range(2)))
    assert results[0].snapshot_id == results[1].snapshot_id
    assert fetch(clean_engine, "select count(*) from shops") == [(2000,)]


def test_records_that_come_in_meanwhile_are_in_the_next_snapshot(
    raw: RawStore, clean: CleanStore, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_lines(raw, file, rows(100))
    monkeypatch.setattr(raw_module, "PAGE_ROWS", 10)
    pages = raw_module._pages

    def with_a_load_between(*arguments: Any) -> Iterator[Any]:
        for number, page in enumerate(pages(*arguments)):
            yield page
            if number == 2:
                load_lines(raw, file, rows(200))

    monkeypatch.setattr(raw_module, "_pages", with_a_load_between)
    first = preprocess(shops(), raw, clean)
    assert sum(first.rows.values()) == 100
    monkeypatch.setattr(raw_module, "_pages", pages)
    second = preprocess(shops(), raw, clean)
    assert second.new
    assert sum(second.rows.values()) == 200


@pytest.mark.parametrize("down", ["raw_data", "clean_data"])
def test_a_database_that_is_down_is_named(
    raw: RawStore, clean: CleanStore, tmp_path: Path, file: Path, down: str
) -> None:
    load_lines(raw, file, rows(10))
    nowhere = make_engine(f"postgresql+psycopg2://pipeline@/{down}?host={tmp_path}")
    stores = (RawStore(nowhere), clean) if down == "raw_data" else (raw, CleanStore(nowhere))
    with pytest.raises(ServiceUnavailable, match=f"database {down} on {tmp_path} does not answer"):
        preprocess(shops(), *stores)


@pytest.mark.parametrize("lost", ["raw_data", "clean_data"])
def test_a_database_that_is_lost_half_way_is_named(
    raw: RawStore,
    clean: CleanStore,
    empty_postgres: Postgres,
    clean_engine: Engine,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    load_lines(raw, file, rows(300))
    monkeypatch.setattr(raw_module, "PAGE_ROWS", 10)
    pages = raw_module._pages
    admin = make_engine(empty_postgres.url(lost, role="postgres"))

    def loses_the_database(*arguments: Any) -> Iterator[Any]:
        for number, page in enumerate(pages(*arguments)):
            if number == 10:
                ours = f"usename = 'pipeline' and datname = '{lost}'"
                fetch(admin, f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
            yield page

    monkeypatch.setattr(raw_module, "_pages", loses_the_database)
    with pytest.raises(ServiceUnavailable, match=f"database {lost} on .* does not answer"):
        preprocess(shops(), raw, clean)
    admin.dispose()
    monkeypatch.undo()
    assert clean.latest("shops") is None
    assert sum(preprocess(shops(), raw, clean).rows.values()) == 300
    assert fetch(clean_engine, "select count(*) from shops") == [(300,)]


PREPROCESSES = """
import sys
from modelyard.steps.preprocess import preprocess
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.database import make_engine
from modelyard.stores.records.raw import RawStore
from tests.shops import shops
print("ready", flush=True)
preprocess(shops(), *(store(make_engine(url)) for store, url in zip((RawStore, CleanStore), sys.argv[1:])))
"""


@pytest.mark.parametrize("seconds", [0.3, 1.0, 1.7])
def test_one_that_is_killed_and_run_again_is_as_if_it_had_not_been(
    raw: RawStore, clean: CleanStore, clean_engine: Engine, empty_postgres: Postgres, file: Path, seconds: float
) -> None:
    load_lines(raw, file, rows(60_000))
    urls = [empty_postgres.url(database) for database in ("raw_data", "clean_data")]
    command = [sys.executable, "-c", PREPROCESSES, *urls]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
    result = preprocess(shops(), raw, clean)
    assert fetch(clean_engine, "select count(*) from shops") == [(60_000,)]
    assert fetch(clean_engine, "select count(*) from snapshots") == [(1,)]
    assert sum(result.rows.values()) == 60_000


def test_who_explores_can_read_a_snapshot(
    raw: RawStore, clean: CleanStore, empty_postgres: Postgres, file: Path
) -> None:
    load_lines(raw, file, rows(10))
    snapshot_id = preprocess(shops(), raw, clean).snapshot_id
    explorer = make_engine(empty_postgres.url("clean_data", role="explorer"))
    frames = [CleanStore(explorer).frame(shops(), snapshot_id, part) for part in PARTS]
    assert sum(map(len, frames)) == 10
    assert CleanStore(explorer).count("shops") == 10
    explorer.dispose()


IMPORTS_LITTLE = """
import sys
import modelyard.steps.load, modelyard.steps.preprocess
heavy = {"pandas", "pandera", "pyarrow", "fsspec", "sklearn", "mlflow"} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_the_steps_imports_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", IMPORTS_LITTLE], check=True)

"""Loading on a real Postgres: each record once, all of a batch or nothing, bad records set aside."""

import gzip
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Feature, FeatureType, Limits
from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput, ContractChanged, ServiceUnavailable
from modelyard.sources import csv_file
from modelyard.steps.load import LoadResult, chosen_records, load
from modelyard.stores.database import make_engine
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import Profile, UseCase
from tests.shops import FEATURES, HEADER, csv_of, rows, shops

COUNTS = ("rows_read", "rows_added", "rows_revised", "rows_unchanged", "rows_rejected")
LEFT_BEHIND = {
    "shops": "record_key, revision, line, floor_area, staff, open_sunday, kind, verdict",
    "batches": f"use_case, sha256, source, {', '.join(COUNTS)}",
    "rejected_records": "use_case, source, line, column_name, reason, record",
}
ALLOWED = 0.05


@pytest.fixture
def raw(raw_engine: Engine) -> RawStore:
    return RawStore(raw_engine)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shops.csv"


def write(path: Path, lines: Sequence[str], header: str = HEADER) -> str:
    path.write_text(csv_of(lines, header), encoding="utf-8")
    return str(path)


def counts(result: LoadResult) -> tuple[int, ...]:
    return tuple(getattr(result, name) for name in COUNTS)


def fetch(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def stored(engine: Engine, columns: str = "record_key, revision, floor_area") -> list[tuple[Any, ...]]:
    return fetch(engine, f"select {columns} from shops order by record_key, revision")


def everything(engine: Engine) -> list[list[tuple[Any, ...]]]:
    """All that a load leaves behind, but for numbers of batches and times."""
    return [
        fetch(engine, f"select {columns} from {table} order by 1, 2, 3") if exists(engine, table) else []
        for table, columns in LEFT_BEHIND.items()
    ]


def exists(engine: Engine, table: str) -> bool:
    return fetch(engine, f"select to_regclass('{table}')") != [(None,)]


def test_records_are_stored_as_what_they_are(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    result = load(shops(), write(file, ["a,1.5,2,yes,bakery,good", "b,2,,,,bad"], HEADER), raw, ALLOWED)
    assert counts(result) == (2, 2, 0, 0, 0)
    assert result.new
    assert result.source == str(file)
    assert stored(raw_engine, "*") == [
        ("a", 1, result.batch_id, 2, 1.5, 2, True, "bakery", "good"),
        ("b", 1, result.batch_id, 3, 2.0, None, None, None, "bad"),
    ]
    columns = "select column_name, data_type, is_nullable from information_schema.columns where table_name = 'shops'"
    assert fetch(raw_engine, f"{columns} and column_name = 'batch_id' and column_default is not null") == []
    assert fetch(raw_engine, f"{columns} order by ordinal_position") == [
        ("record_key", "text", "NO"),
        ("revision", "integer", "NO"),
        ("batch_id", "bigint", "NO"),
        ("line", "bigint", "NO"),
        ("floor_area", "double precision", "NO"),
        ("staff", "bigint", "YES"),
        ("open_sunday", "boolean", "YES"),
        ("kind", "text", "YES"),
        ("verdict", "text", "NO"),
    ]
    assert raw.counts("shops") == {"raw": 2, "rejected": 0, "predictions": 0}
    assert raw.counts("unknown") == {"raw": 0, "rejected": 0, "predictions": 0}


def test_numbers_and_odd_texts_come_through_unharmed(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    kind = Feature(name="kind", type=FeatureType.CATEGORY, nullable=True)
    area = Feature(name="floor_area", type=FeatureType.NUMBER)
    texts = ["\\N", "\\.", "NULL", 'a "b" c', "x,y", "über\tö", "null", "-", "line\nend", "'); drop table shops"]
    numbers = ["0.1", "1e-300", "1.7976931348623157e+38", "-0", "123456789.123456789", "3", "1e5", "0", "7", "8"]
    cells = zip(numbers, texts, strict=True)
    lines = ['{},{},,,"{}",good'.format(n, number, odd.replace('"', '""')) for n, (number, odd) in enumerate(cells)]
    load(shops(features=(area, *FEATURES[1:3], kind)), write(file, lines), raw, 0)
    found = stored(raw_engine, "record_key, floor_area, kind")
    assert [row[1] for row in found] == [float(number) for number in numbers]
    assert [row[2] for row in found] == texts


def test_the_same_file_again_adds_nothing_and_says_so(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    source = write(file, [*rows(100), "x,1"])
    first = load(shops(), source, raw, ALLOWED)
    before = everything(raw_engine)
    again = load(shops(), source, raw, ALLOWED)
    assert counts(first) == (101, 100, 0, 0, 1)
    assert counts(again) == (101, 0, 0, 100, 1)
    assert not again.new
    assert again.batch_id == first.batch_id
    assert everything(raw_engine) == before
    copy = file.with_suffix(".csv.gz")
    copy.write_bytes(gzip.compress(file.read_bytes()))
    assert not load(shops(), str(copy), raw, ALLOWED).new


def test_a_file_that_grew_adds_its_new_records_only(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    load(shops(), write(file, rows(100)), raw, ALLOWED)
    grown = load(shops(), write(file, [*rows(20, first=1000), *rows(100)]), raw, ALLOWED)
    assert counts(grown) == (120, 20, 0, 100, 0)
    added = f"select count(*) from shops where batch_id = {grown.batch_id} and record_key >= 's1000'"
    assert fetch(raw_engine, added) == [(20,)]
    assert raw.counts("shops")["raw"] == 120


def test_a_known_key_with_other_content_is_a_new_revision(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    load(shops(), write(file, ["a,1,2,0,bakery,good", "b,2,,0,,good", "c,3,,0,,good"]), raw, ALLOWED)
    second = load(shops(), write(file, ["a,1,,0,bakery,good", "b,2,,0,,good", "c,4,,0,,good"]), raw, ALLOWED)
    third = load(shops(), write(file, ["a,1,2,0,bakery,good", "c,4.0,,no,,good"]), raw, ALLOWED)
    assert counts(second) == (3, 0, 2, 1, 0)
    assert counts(third) == (2, 0, 1, 1, 0)
    assert stored(raw_engine, "record_key, revision, floor_area, staff") == [
        ("a", 1, 1.0, 2),
        ("a", 2, 1.0, None),
        ("a", 3, 1.0, 2),
        ("b", 1, 2.0, None),
        ("c", 1, 3.0, None),
        ("c", 2, 4.0, None),
    ]


def test_without_a_key_equal_records_are_told_apart_by_their_number(
    raw: RawStore, raw_engine: Engine, file: Path
) -> None:
    keyless, header = shops(key=None), HEADER.removeprefix("shop,")
    lines = ["1,2,0,bakery,good", "1,2,0,bakery,good", "5,,1,,bad"]
    assert counts(load(keyless, write(file, lines, header), raw, ALLOWED)) == (3, 3, 0, 0, 0)
    grown = [*lines, "1.0,2,no,bakery,good", "6,,,,bad"]
    assert counts(load(keyless, write(file, grown, header), raw, ALLOWED)) == (5, 2, 0, 3, 0)
    assert [revision for _, revision, _ in stored(raw_engine)] == [1] * 5
    assert sorted(area for *_, area in stored(raw_engine)) == [1, 1, 1, 5, 6]


def test_a_key_twice_in_a_file_is_a_bad_record(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    for first, second in (("a", "b"), ("b", "a")):
        lines = [*rows(100), f"{first},1,,0,,good", f"{second},2,,0,,good", f"{first},3,,0,,good", "s7,9,,,,bad"]
        result = load(shops(), write(file, lines), raw, ALLOWED)
        assert result.rows_rejected == 2
        rejected = f"select line, column_name, reason, record from rejected_records where batch_id = {result.batch_id}"
        assert fetch(raw_engine, f"{rejected} order by line") == [
            (104, "shop", f"'{first}' is the key of line 102 already", f"{first},3,,false,,good"),
            (105, "shop", "'s7' is the key of line 8 already", "s7,9,,,,bad"),
        ]
        latest = "select distinct on (record_key) record_key, floor_area from shops where record_key in ('a', 'b')"
        assert fetch(raw_engine, f"{latest} order by record_key, revision desc") == sorted([(first, 1), (second, 2)])


def test_bad_records_are_set_aside_with_the_reason(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    lines = rows(100)
    lines[10] = "x,abc,,,,good"
    lines[50] = "y,1"
    lines[99] = "z,1,,,pub,good"
    result = load(shops(), write(file, lines), raw, ALLOWED)
    assert counts(result) == (100, 97, 0, 0, 3)
    columns = "use_case, batch_id, source, line, column_name, reason, record"
    where = ("shops", result.batch_id, str(file))
    assert fetch(raw_engine, f"select {columns} from rejected_records order by line") == [
        (*where, 12, "Floor Area", "'abc' is not a number", "x,abc,,,,good"),
        (*where, 52, "", "has 2 cells where the header has 6", "y,1"),
        (*where, 101, "kind", "'pub' is none of bakery, book shop", "z,1,,,pub,good"),
    ]
    assert raw.counts("shops")["rejected"] == 3


def test_too_many_bad_records_leave_nothing_behind(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    lines = [*rows(94), *(f"x{n},{n},,,,ugly" for n in range(6))]
    sentence = (
        f"{file}, line 96, column Floor Area: '0' is outside of what is valid: 1 to 5000. "
        "6 of 100 records cannot be used, 5% may be (ALLOWED_BAD_SHARE): nothing was loaded"
    )
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}$"):
        load(shops(), write(file, lines), raw, ALLOWED)
    assert everything(raw_engine) == [[], [], []]
    assert counts(load(shops(), write(file, lines), raw, 0.06)) == (100, 94, 0, 0, 6)


def test_too_many_duplicates_leave_nothing_behind(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    load(shops(), write(file, rows(10)), raw, ALLOWED)
    before = everything(raw_engine)
    with pytest.raises(BadInput, match=r"line 4, column shop: 's1' is the key of line 2 already\. 1 of 3 records"):
        load(shops(), write(file, [*rows(2), rows(1)[0]]), raw, ALLOWED)
    assert everything(raw_engine) == before


@pytest.mark.parametrize(
    ("lines", "allowed", "sentence"),
    [
        ([], 1, "has no records: there is nothing below the columns' names"),
        (["a,x,,,,good", "b,y,,,,good"], 1, "line 2, column Floor Area: 'x' is not a number. 2 of 2 records"),
        (["a", "b"], ALLOWED, "line 2: has 1 cells where the header has 6. 2 of 2 records cannot be used, 5% may be"),
    ],
)
def test_a_file_without_a_good_record_is_refused(
    raw: RawStore, raw_engine: Engine, file: Path, lines: list[str], allowed: float, sentence: str
) -> None:
    with pytest.raises(BadInput, match=re.escape(sentence)):
        load(shops(), write(file, lines), raw, allowed)
    assert everything(raw_engine) == [[], [], []]


def test_a_missing_file_and_a_missing_column_are_refused(raw: RawStore, raw_engine: Engine, file: Path) -> None:
    with pytest.raises(BadInput, match=r"shops\.csv: there is no such file"):
        load(shops(), str(file), raw, ALLOWED)
    with pytest.raises(BadInput, match="line 1: there is no column for staff; the columns are 'shop'"):
        load(shops(), write(file, rows(1), HEADER.replace("staff", "people")), raw, ALLOWED)
    assert everything(raw_engine) == [[], [], []]


def test_columns_that_nobody_declared_are_named(raw: RawStore, file: Path) -> None:
    source = write(file, [f"{line},x,y" for line in rows(3)], f"{HEADER},colour,")
    assert load(shops(), source, raw, ALLOWED).ignored_columns == ("colour", "")


def test_a_file_that_changes_while_it_is_read_leaves_nothing_behind(
    raw: RawStore, raw_engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(file, rows(10))
    find_batch = RawStore.find_batch

    def changes_the_file(*arguments: Any) -> Any:
        write(file, rows(11))
        return find_batch(*arguments)

    monkeypatch.setattr(RawStore, "find_batch", changes_the_file)
    with pytest.raises(BadInput, match=r"shops\.csv was changed while it was read"):
        load(shops(), source, raw, ALLOWED)
    assert everything(raw_engine) == [[], [], []]


def test_a_contract_that_gained_a_nullable_feature_changes_the_table(
    raw: RawStore, raw_engine: Engine, file: Path
) -> None:
    load(shops(), write(file, ["a,1,,0,,good", "b,2,,0,,good"]), raw, ALLOWED)
    gained = shops(features=(*FEATURES, Feature(name="rooms", type=FeatureType.INTEGER, nullable=True)))
    result = load(gained, write(file, ["a,1,,0,,good,", "b,2,,0,,good,7"], f"{HEADER},rooms"), raw, ALLOWED)
    assert counts(result) == (2, 0, 1, 1, 0)
    assert stored(raw_engine, "record_key, revision, rooms") == [("a", 1, None), ("b", 1, None), ("b", 2, 7)]


def test_a_file_is_read_again_when_more_of_it_is_declared(raw: RawStore, file: Path) -> None:
    source = write(file, ["a,1,,0,,good,3", "b,20,,0,,good,"], f"{HEADER},rooms")
    small = shops(features=(FEATURES[0].model_copy(update={"valid": Limits(maximum=10)}), *FEATURES[1:]))
    assert counts(load(small, source, raw, 0.5)) == (2, 1, 0, 0, 1)
    assert counts(load(shops(), source, raw, 0.5)) == (2, 1, 0, 1, 0)
    gained = shops(features=(*FEATURES, Feature(name="rooms", type=FeatureType.INTEGER, nullable=True)))
    assert counts(load(gained, source, raw, ALLOWED)) == (2, 0, 1, 1, 0)
    titled = gained.model_copy(update={"title": "Other", "description": "words"})
    assert not load(titled, source, raw, ALLOWED).new


def without(name: str) -> tuple[Feature, ...]:
    return tuple(feature for feature in FEATURES if feature.name != name)


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        (
            {"features": (*FEATURES, Feature(name="rooms", type=FeatureType.INTEGER))},
            "rooms is new and not nullable",
        ),
        ({"features": without("staff")}, "staff is gone"),
        (
            {"features": (*without("staff"), Feature(name="staff", type=FeatureType.NUMBER, nullable=True))},
            "staff was bigint and is double precision",
        ),
        (
            {"features": (*without("staff"), Feature(name="staff", type=FeatureType.INTEGER))},
            "staff was bigint and is bigint not null",
        ),
        ({"classes": (0, 1)}, "verdict was text not null and is bigint not null"),
    ],
)
def test_any_other_change_of_the_contract_is_refused(
    raw: RawStore, raw_engine: Engine, file: Path, changed: dict[str, Any], difference: str
) -> None:
    load(shops(), write(file, rows(3)), raw, ALLOWED)
    before = everything(raw_engine)
    with pytest.raises(ContractChanged, match=f"does not fit table shops of raw_data any more: {difference}. Undo it"):
        load(shops(**changed), write(file, [f"{line},1" for line in rows(4)], f"{HEADER},rooms"), raw, 1)
    assert everything(raw_engine) == before


def test_use_cases_do_not_see_each_other(raw: RawStore, file: Path) -> None:
    source = write(file, rows(10))
    assert load(shops(), source, raw, ALLOWED).rows_added == 10
    assert load(shops(name="other_shops"), source, raw, ALLOWED).rows_added == 10
    assert raw.counts("other_shops")["raw"] == 10


def test_names_that_sql_knows_are_names_like_any(raw: RawStore, file: Path) -> None:
    odd = (Feature(name="select", type=FeatureType.NUMBER), Feature(name="order", type=FeatureType.CATEGORY))
    user = shops(name="user", features=odd)
    assert load(user, write(file, ["a,1,x,good"], "shop,select,order,verdict"), raw, 0).rows_added == 1
    assert load(user, write(file, ["a,2,x,good"], "shop,select,order,verdict"), raw, 0).rows_revised == 1


@pytest.mark.parametrize("same", [True, False])
def test_two_loads_at_once_do_what_one_after_the_other_does(
    raw: RawStore, raw_engine: Engine, tmp_path: Path, same: bool
) -> None:
    sources = [write(tmp_path / "a.csv", rows(2000)), write(tmp_path / "b.csv", rows(2000, first=1001))]
    chosen = [sources[0], sources[0]] if same else sources
    with ThreadPoolExecutor(2) as threads:
        results = list(threads.map(lambda source: load(shops(), source, raw, ALLOWED), chosen))
    assert sorted(result.rows_added for result in results) == ([0, 2000] if same else [1000, 2000])
    assert raw.counts("shops")["raw"] == (2000 if same else 3000)
    assert len(fetch(raw_engine, "select * from batches")) == (1 if same else 2)


def test_a_database_that_is_down_is_named(tmp_path: Path, file: Path) -> None:
    engine = make_engine(f"postgresql+psycopg2://pipeline@/raw_data?host={tmp_path}")
    with pytest.raises(ServiceUnavailable, match=f"database raw_data on {tmp_path} does not answer"):
        load(shops(), write(file, rows(1)), RawStore(engine), ALLOWED)


def test_a_database_that_is_lost_half_way_is_named(
    raw: RawStore, raw_engine: Engine, admin_raw_engine: Engine, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_file, "BLOCK_BYTES", 1000)
    source = write(file, rows(5000))
    read = csv_file.CsvFile.cells

    def loses_the_database(self: csv_file.CsvFile) -> Iterator[csv_file.Cells]:
        for number, cells in enumerate(read(self)):
            if number == 100:
                ours = "usename = 'pipeline' and pid <> pg_backend_pid()"
                fetch(admin_raw_engine, f"select pg_terminate_backend(pid) from pg_stat_activity where {ours}")
            yield cells

    monkeypatch.setattr(csv_file.CsvFile, "cells", loses_the_database)
    with pytest.raises(ServiceUnavailable, match=r"database raw_data on .* does not answer"):
        load(shops(), source, raw, ALLOWED)
    assert everything(raw_engine) == [[], [], []]
    monkeypatch.undo()
    assert load(shops(), source, raw, ALLOWED).rows_added == 5000


LOADS = """
import sys
from modelyard.steps.load import load
from modelyard.stores.database import make_engine
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import Profile, UseCase
from tests.shops import shops
print("ready", flush=True)
load(shops(), sys.argv[1], RawStore(make_engine(sys.argv[2])), 0.05)
"""


@pytest.mark.parametrize("seconds", [0.1, 0.7, 1.3])
def test_a_load_that_is_killed_and_run_again_is_as_if_it_had_not_been(
    raw: RawStore, raw_engine: Engine, empty_postgres: Postgres, file: Path, seconds: float
) -> None:
    load(shops(), write(file, rows(20_000)), raw, ALLOWED)
    source = write(file, [*rows(60_000, first=10_001), "x,1", *rows(1, first=10_001)])
    url = empty_postgres.url("raw_data")
    command = [sys.executable, "-c", LOADS, source, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
    load(shops(), source, raw, ALLOWED)
    assert raw.counts("shops") == {"raw": 70_000, "rejected": 2, "predictions": 0}
    assert len(fetch(raw_engine, "select * from batches")) == 2
    assert not load(shops(), source, raw, ALLOWED).new


@pytest.fixture
def sampled(tmp_path: Path) -> UseCase:
    """A use case with a sample, which is there; its own records are not."""
    write(tmp_path / "sample.csv", rows(10))
    profiles = {"sample": Profile(source="sample.csv"), "other": Profile(source="other.csv")}
    return shops().model_copy(update={"source": "raw/own.csv", "profiles": profiles, "sample": "sample"})


def choose(use_case: UseCase, folder: Path, raw: RawStore, **named: str) -> tuple[str | None, str]:
    found, where = chosen_records(use_case, named.get("source"), named.get("profile"), str(folder), raw)
    return found.profile, where.removeprefix(f"{folder}/")


def test_a_sample_is_loaded_while_there_are_no_records_of_ones_own(
    sampled: UseCase, raw: RawStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert choose(sampled, tmp_path, raw) == ("sample", "sample.csv")
    assert "raw/own.csv is not there yet: the sample of shops is loaded in its place" in caplog.text
    load(sampled.in_profile("sample"), str(tmp_path / "sample.csv"), raw, ALLOWED)
    assert choose(sampled, tmp_path, raw) == ("sample", "sample.csv")


def test_ones_own_records_are_taken_as_soon_as_they_are_there_and_the_sample_never_again(
    sampled: UseCase, raw: RawStore, tmp_path: Path
) -> None:
    own = tmp_path / "raw" / "own.csv"
    own.parent.mkdir()
    write(own, rows(20))
    assert choose(sampled, tmp_path, raw) == (None, "raw/own.csv")
    load(sampled, str(own), raw, ALLOWED)
    own.unlink()
    found, where = chosen_records(sampled, None, None, str(tmp_path), raw)
    assert found.profile is None
    with pytest.raises(BadInput, match=r"own\.csv: there is no such file"):
        load(found, where, raw, ALLOWED)


def test_what_is_named_is_taken(sampled: UseCase, raw: RawStore, tmp_path: Path) -> None:
    assert choose(sampled, tmp_path, raw, source="/some/where.csv") == (None, "/some/where.csv")
    assert choose(sampled, tmp_path, raw, profile="other") == ("other", "other.csv")
    assert choose(sampled, tmp_path, raw, profile="other", source="/x.csv") == ("other", "/x.csv")
    with pytest.raises(BadInput, match="has no profile 'none'"):
        choose(sampled, tmp_path, raw, profile="none")


def test_without_a_sample_ones_own_records_must_be_there(raw: RawStore, tmp_path: Path) -> None:
    assert choose(shops(), tmp_path, raw) == (None, "shops.csv")

"""Files of a use case without a key: nothing is dropped as known unless the file holds what is there."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.errors import BadInput
from modelyard.steps.load import LoadResult, load
from modelyard.steps.preprocess import preprocess
from modelyard.stores.records.clean import CleanStore
from modelyard.stores.records.raw import RawStore
from modelyard.use_case import Candidate, LaterFile, Profile, UseCase

ALLOWED = 0.05
Person = tuple[str, str, str, str]
Load = Callable[..., LoadResult]

# Of few values each, as the Titanic's: a population of 2201 has 24 different rows or fewer.
CATEGORIES = {"cabin": ("first", "second", "third", "crew"), "age": ("adult", "child"), "sex": ("male", "female")}


def voyage(records: LaterFile | None = None, *, ages: Sequence[str] = CATEGORIES["age"]) -> UseCase:
    features = (
        Feature(name="cabin", type=FeatureType.CATEGORY, categories=CATEGORIES["cabin"]),
        Feature(name="age", type=FeatureType.CATEGORY, categories=tuple(ages)),
        Feature(name="sex", type=FeatureType.CATEGORY, categories=CATEGORIES["sex"]),
    )
    return UseCase(
        name="voyage",
        title="Voyage",
        kind=TaskKind.BINARY,
        records=records,
        features=features,
        target=Target(name="survived", classes=("no", "yes")),
        source="voyage.csv",
        candidates=(Candidate(name="any", estimator="sklearn.dummy.DummyClassifier"),),
        profiles={"other_ship": Profile(source="ship.csv")},
    )


def people(count: int, seed: int) -> list[Person]:
    """So many people of one population: half of them crew, a third of all saved."""
    draw = random.Random(seed)
    return [
        (
            draw.choices(CATEGORIES["cabin"], (3, 3, 7, 9))[0],
            draw.choices(CATEGORIES["age"], (9, 1))[0],
            draw.choices(CATEGORIES["sex"], (8, 2))[0],
            draw.choices(("no", "yes"), (2, 1))[0],
        )
        for _ in range(count)
    ]


@pytest.fixture
def raw(raw_engine: Engine) -> RawStore:
    return RawStore(raw_engine)


@pytest.fixture
def load_people(raw: RawStore, tmp_path: Path) -> Load:
    def load_them(
        some: Sequence[Sequence[str]], said: LaterFile | None = None, use_case: UseCase | None = None
    ) -> LoadResult:
        file = tmp_path / "voyage.csv"
        file.write_text("\n".join(["cabin,age,sex,survived", *map(",".join, some), ""]), encoding="utf-8")
        return load(use_case or voyage(), str(file), raw, ALLOWED, said=said)

    return load_them


def counts(result: LoadResult) -> tuple[int, int, int, int]:
    """Read, added, unchanged and rejected records; none is revised, and all add up."""
    assert result.rows_revised == 0
    assert result.rows_read == result.rows_added + result.rows_unchanged + result.rows_rejected
    return result.rows_read, result.rows_added, result.rows_unchanged, result.rows_rejected


def kept(engine: Engine, table: str = "voyage") -> Counter[Person]:
    with engine.connect() as connection:
        rows = connection.execute(text(f"select cabin, age, sex, survived from {table} where revision = 1"))
        return Counter((row.cabin, row.age, row.sex, row.survived) for row in rows)


def keys(engine: Engine) -> dict[str, tuple[int, int]]:
    with engine.connect() as connection:
        rows = connection.execute(text("select record_key, batch_id, line from voyage"))
        return {row.record_key: (row.batch_id, row.line) for row in rows}


def test_another_file_of_the_same_population_loses_no_record(
    load_people: Load, raw_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = people(2201, seed=1), people(2201, seed=2)
    assert counts(load_people(first)) == (2201, 2201, 0, 0)
    before = keys(raw_engine)
    result = load_people(second)
    assert counts(result) == (2201, 2201, 0, 0)
    assert result.taken_as == "other"
    assert kept(raw_engine) == Counter(first) + Counter(second)
    assert before.items() <= keys(raw_engine).items()
    held = (Counter(first) & Counter(second)).total()
    assert (
        f"holds {held} of the 2201 records that were there, and not all: it was taken for other records" in caplog.text
    )
    assert "--records whole" in caplog.text


def test_a_file_that_holds_all_that_is_there_is_the_whole_again(
    load_people: Load, raw_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    first, more = people(500, seed=1), people(70, seed=2)
    load_people(first)
    before = keys(raw_engine)
    grown = [*more, *first]
    random.Random(3).shuffle(grown)
    result = load_people(grown)
    assert counts(result) == (570, 70, 500, 0)
    assert result.taken_as == "whole"
    assert kept(raw_engine) == Counter(first) + Counter(more)
    assert before.items() <= keys(raw_engine).items()
    assert "holds all 500 records that were there: it was taken for the whole table again" in caplog.text
    assert "--records other" in caplog.text


def test_an_old_extract_is_added_and_said_to_be_so_and_can_be_taken_for_the_whole_afterwards(
    load_people: Load, raw_engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    first = people(300, seed=1)
    load_people(first)
    before = keys(raw_engine)
    assert counts(load_people(first[:200])) == (200, 200, 0, 0)
    assert "holds 200 of the 300 records that were there" in caplog.text
    assert counts(load_people(first[:200], "whole")) == (200, 0, 200, 0)
    assert keys(raw_engine) == before
    again = load_people(first[:200], "whole")
    assert not again.new
    assert again.taken_as == "whole"


def test_what_was_taken_for_the_whole_can_be_taken_for_others_afterwards_but_not_once_others_came(
    load_people: Load, raw: RawStore, raw_engine: Engine
) -> None:
    first, grown = people(50, seed=1), people(50, seed=1) + people(9, seed=2)
    load_people(first)
    load_people([*grown, ("first", "adult", "male", "perhaps")])
    batches = raw.batches("voyage")
    others = load_people([*grown, ("first", "adult", "male", "perhaps")], "other")
    assert counts(others) == (60, 59, 0, 1)
    assert kept(raw_engine) == Counter(first) + Counter(grown)
    assert raw.counts("voyage")["rejected"] == 1
    assert raw.batches("voyage") != batches
    load_people(people(20, seed=3))
    before = keys(raw_engine)
    with pytest.raises(BadInput, match=r"taken for other records: it stays so, as batch \d+ came after it"):
        load_people([*grown, ("first", "adult", "male", "perhaps")], "whole")
    assert keys(raw_engine) == before


def test_the_use_case_says_what_every_file_is_and_who_loads_what_this_one_is(
    load_people: Load, raw_engine: Engine
) -> None:
    first, second = people(100, seed=1), people(100, seed=2)
    load_people(first, use_case=voyage("other"))
    assert counts(load_people([*first, *second], use_case=voyage("other"))) == (200, 200, 0, 0)
    assert counts(load_people(second, use_case=voyage("whole"))) == (100, 0, 100, 0)
    assert counts(load_people(second[:50], "other", voyage("whole"))) == (50, 50, 0, 0)
    assert kept(raw_engine) == Counter([*first, *first, *second, *second[:50]])


def test_the_same_content_adds_nothing_whatever_came_meanwhile(load_people: Load, raw_engine: Engine) -> None:
    first, second = people(100, seed=1), people(120, seed=2)
    for some in (first, second, first, second):
        result = load_people(some)
    assert not result.new
    assert counts(result) == (120, 0, 120, 0)
    assert kept(raw_engine) == Counter(first) + Counter(second)


def test_a_content_that_is_declared_anew_adds_what_could_not_be_read_before(
    load_people: Load, raw_engine: Engine
) -> None:
    with_old = [*people(100, seed=2), ("first", "old", "male", "no"), ("first", "adult", "male", "no")]
    files = people(100, seed=1), with_old, people(100, seed=3)
    for some in files:
        load_people(some)
    declared = voyage(ages=(*CATEGORIES["age"], "old"))
    for some in files:
        result = load_people(some, use_case=declared)
        assert result.taken_as == "again"
        assert result.rows_added == (1 if some is with_old else 0)
    assert kept(raw_engine) == sum(map(Counter, files), Counter())


def test_rejected_records_and_an_empty_file(load_people: Load, raw_engine: Engine) -> None:
    first = people(100, seed=1)
    load_people(first)
    result = load_people([*first, ("zeroth", "adult", "male", "no"), *people(3, seed=2)])
    assert counts(result) == (104, 3, 100, 1)
    before = keys(raw_engine)
    with pytest.raises(BadInput, match="has no records"):
        load_people([])
    assert keys(raw_engine) == before


def test_records_that_are_gone_from_the_middle_leave_no_key_to_be_given_twice(
    load_people: Load, raw_engine: Engine
) -> None:
    first = [("crew", "adult", "male", "no")] * 5
    load_people(first)
    with raw_engine.begin() as connection:
        connection.execute(text("delete from voyage where record_key like '%-2'"))
    assert counts(load_people([*first, *first], "other")) == (10, 10, 0, 0)
    assert counts(load_people([*first, *first, *first], "whole")) == (15, 1, 14, 0)


def test_profiles_are_told_apart(load_people: Load, raw_engine: Engine) -> None:
    first = people(50, seed=1)
    load_people(first)
    load_people(first, use_case=voyage().in_profile("other_ship"))
    assert kept(raw_engine, "voyage__other_ship") == kept(raw_engine) == Counter(first)


def test_two_files_at_once_are_two_files(raw: RawStore, raw_engine: Engine, tmp_path: Path) -> None:
    def load_one(seed: int) -> LoadResult:
        return load(voyage(), str(tmp_path / f"{seed}.csv"), raw, ALLOWED)

    for seed in (1, 2):
        lines = ["cabin,age,sex,survived", *map(",".join, people(1000, seed)), ""]
        (tmp_path / f"{seed}.csv").write_text("\n".join(lines), encoding="utf-8")
    with ThreadPoolExecutor(3) as threads:
        results = list(threads.map(load_one, (1, 2, 1)))
    assert sorted(result.rows_added for result in results) == [0, 1000, 1000]
    assert kept(raw_engine) == Counter(people(1000, 1)) + Counter(people(1000, 2))


def test_a_snapshot_follows_from_what_its_files_were_taken_for(
    load_people: Load, raw: RawStore, clean_engine: Engine
) -> None:
    first, grown = people(300, seed=1), people(300, seed=1) + people(30, seed=2)
    load_people(first)
    load_people(grown)
    as_whole = preprocess(voyage(), raw, CleanStore(clean_engine))
    load_people(grown, "other")
    as_others = preprocess(voyage(), raw, CleanStore(clean_engine))
    assert (sum(as_whole.rows.values()), sum(as_others.rows.values())) == (330, 630)
    load_people(grown, "whole")
    assert preprocess(voyage(), raw, CleanStore(clean_engine)).snapshot_id == as_whole.snapshot_id


def test_records_with_a_key_are_not_told_apart_so(raw: RawStore, tmp_path: Path) -> None:
    from tests.shops import shops

    with pytest.raises(
        BadInput, match="--records other is for tables without a key: the records of shops are identified"
    ):
        load(shops(), str(tmp_path / "any.csv"), raw, ALLOWED, said="other")

"""On which side pictures are whose folder says a part, and which stand together."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from modelyard.errors import ContractChanged
from modelyard.steps.sides import parts_of_records, sides_of
from modelyard.use_case import Split, UseCase
from tests.painted import weather

BY_PATIENT = Split(by="patient", path="(?P<patient>P[0-9]+)")


def by_patient() -> UseCase:
    return weather().model_copy(update={"split": BY_PATIENT})


def pictures(*paths: str) -> pa.Table:
    patients = [path.rsplit("/", 1)[1].split("_")[0] for path in paths]
    return pa.table(
        {"record_key": list(paths), "photo": list(paths), "kind": ["warm"] * len(paths), "patient": patients}
    )


def test_what_a_folder_says_of_a_picture_holds_for_its_patient() -> None:
    paths = [f"warm/P{number}_{picture}.png" for number in range(30) for picture in range(3)]
    paths[0] = "test/warm/P0_0.png"
    pages = [pictures(*paths[:40]), pictures(*paths[40:])]
    sides = sides_of(by_patient(), iter(pages))
    found = [part for page in pages for part in parts_of_records(by_patient(), page, sides).tolist()]
    assert found[:3] == ["test"] * 3
    assert len({(place // 3, part) for place, part in enumerate(found)}) == 30
    assert set(found) == {"train", "validation", "test"}


def test_a_patient_in_the_folders_of_two_parts_is_an_error() -> None:
    page = pictures("test/warm/P1_1.png", "train/warm/P1_2.png")
    with pytest.raises(ContractChanged, match="the folders put 'P1' both into test and into train"):
        sides_of(by_patient(), iter([page]))


def test_a_newest_record_of_the_future_is_said_where_the_borders_follow_it(caplog: pytest.LogCaptureFixture) -> None:
    split = Split(time="taken_on", validation="10d", test="10d", path="(?P<taken_on>[0-9-]+)_")
    rolling = weather().model_copy(update={"split": split})
    today = datetime.now(UTC).replace(tzinfo=None)
    for ahead, said in ((timedelta(), False), (timedelta(days=300), True)):
        moments = pa.array([today + ahead, today - timedelta(days=9)], pa.timestamp("us"))
        sides_of(rolling, iter([pictures("a/1_", "a/2_").append_column("taken_on", moments)]))
        assert ("which is in the future: the test part is counted back from there" in caplog.text) is said

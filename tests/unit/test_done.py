from modelyard.demo.step_report import StepReport
from modelyard.steps.load import LoadResult

LOADED = LoadResult(
    batch_id=1, new=True, rows_read=1000, rows_added=997, rows_revised=0, rows_unchanged=0, rows_rejected=3,
    source="own/cars.csv", sha256="0" * 64,
)  # fmt: skip


def test_who_hears_of_rejected_records_hears_where_the_reasons_are() -> None:
    done = StepReport("load", "", 1.0, LOADED.model_dump())
    assert done.is_new
    assert done.sentence == "1000 rows: 997 added, 3 rejected (why: table rejected_records of raw_data)"
    all_good = LOADED.model_copy(update={"rows_added": 1000, "rows_rejected": 0})
    assert StepReport("load", "", 1.0, all_good.model_dump()).sentence == "1000 rows: 1000 added"


def test_who_loads_a_table_without_a_key_hears_what_the_file_was_taken_for() -> None:
    taken = LOADED.model_copy(update={"rows_added": 1000, "rows_rejected": 0, "taken_as": "other"})
    assert StepReport("load", "", 1.0, taken.model_dump()).sentence == "1000 rows: 1000 added, as other records"

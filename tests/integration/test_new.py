"""What `modelyard new` writes, read by the tools that check it; and the command itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from modelyard.authoring.draft import Question
from modelyard.authoring.new import new
from modelyard.settings import Settings
from tests.strange_tables import FLATS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with nothing in it, where the user is."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(file: Path, target: str, key: str | None = None) -> str:
    """The declaration that is written for a file."""
    settings = Settings(_env_file=None, data_url="data", use_cases_path=None)
    new(settings, Question("mine", str(file), target, key, None, 0.05), force=True)
    return Path("use_cases/mine.py").read_text(encoding="utf-8")


def run_ruff(declaration: str, *command: str) -> subprocess.CompletedProcess[str]:
    ruff = [sys.executable, "-m", "ruff", *command, "--stdin-filename", "use_cases/mine.py", "-"]
    return subprocess.run(ruff, cwd=REPOSITORY, input=declaration, capture_output=True, text=True, check=False)


def test_what_is_written_passes_the_checks_of_its_place(here: Path) -> None:
    done = run_ruff(written(FLATS.write(here / "table.csv", 300), FLATS.target, FLATS.key), "check")
    assert done.returncode == 0, done.stdout


def test_what_is_written_is_formatted_whatever_the_names_are(here: Path) -> None:
    names = ['say "x"', 'it\'s "x"', "it's", "back\\", "x\ny", "'\"\\\"'", "y"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    primes = (3, 5, 7, 11, 13, 17, 19)
    rows = (",".join(str(number * each % 97 / 7) for each in primes) for number in range(300))
    (here / "table.csv").write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    done = run_ruff(written(here / "table.csv", "y"), "format", "--diff")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["table.csv", "table.xlsx"])
def test_a_file_without_a_target_is_asked_for_it(here: Path, name: str) -> None:
    (here / name).write_text("a,b\n1,2\n")
    command = [str(Path(sys.executable).with_name("modelyard")), "new", "mine", "--from", name]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: which column of {name} is to be predicted? Name it with --target")

"""Many records scored from and to files and tables: each once, also when it was killed half-way."""

import csv
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Interval, Target, TaskKind
from modelyard.embedded.postgres import Postgres
from modelyard.errors import BadInput, NothingToWorkOn
from modelyard.models.onnx.compiled import CompiledModel
from modelyard.settings import Settings, child_environment
from modelyard.steps.load import load
from modelyard.steps.score import score
from modelyard.steps.stores import Platform, connected
from modelyard.use_case import UseCase
from modelyard.use_cases.loan_approval import USE_CASE as LOANS
from tests.services.made_models import LOAN_RECORD, loan_contract, write_package
from tests.services.registered import Registered
from tests.services.running_api import wait_until

# Two pages, and then some.
MANY = 150_000
HEADER = ["id", *LOANS.contract().names]


@pytest.fixture
def platform(empty_postgres: Postgres, tracking_uri: str, tmp_path: Path) -> Iterator[Platform]:
    settings = Settings(_env_file=None, modelyard_home=tmp_path / "home")
    urls = (empty_postgres.url("raw_data"), empty_postgres.url("clean_data"))
    with connected(settings, *urls, tracking_uri) as stores:
        yield stores


@pytest.fixture
def registered(tracking_uri: str, tmp_path: Path) -> Iterator[Registered]:
    made = Registered(tracking_uri, tmp_path / "packages")
    made.promote(made.add())
    yield made
    made.retire()


@pytest.fixture
def use_case(registered: Registered) -> UseCase:
    return LOANS.model_copy(update={"name": registered.name})


def record(number: int) -> dict[str, Any]:
    return LOAN_RECORD | {"annual_income": float(1000 + number % 90_000), "age": 18 + number % 80}


def write(path: Path, count: int, **changes: dict[int, Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(HEADER)
        for number in range(count):
            values = {"id": number, **record(number)}
            values |= {name: new[number] for name, new in changes.items() if number in new}
            rows.writerow([int(value) if isinstance(value, bool) else value for value in map(values.get, HEADER)])
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def run(use_case: UseCase, platform: Platform, source: object, target: object, *, log: bool = False) -> Any:
    return score(use_case, platform, str(source), str(target), log=log, tell=lambda _: None)


def expected(tmp_path: Path, count: int) -> list[float]:
    folder = tmp_path / "expected"
    write_package(folder, loan_contract(), [LOAN_RECORD])
    scores = CompiledModel.load(folder).scores(loan_contract().to_arrays([record(number) for number in range(count)]))
    return [float(each) for each in scores[:, 1]]


def count(engine: Engine, what: str) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text(f"select count(*) from {what}")) or 0)


def test_a_file_is_scored_into_a_file_as_the_api_would(use_case: UseCase, platform: Platform, tmp_path: Path) -> None:
    result = run(use_case, platform, write(tmp_path / "in.csv", 500), tmp_path / "out.csv")
    assert (result.version, result.rows, result.problems, result.resumed_at) == (1, 500, 0, 0)
    rows = read(tmp_path / "out.csv")
    assert [float(row["probability"]) for row in rows] == pytest.approx(expected(tmp_path, 500), abs=1e-6)
    assert [row["record_key"] for row in rows] == [str(number) for number in range(500)]
    assert {row["prediction"] for row in rows} <= {"0", "1"}
    assert len({row["request_id"] for row in rows}) == 500
    assert not (tmp_path / "home" / "scores").exists() or not any((tmp_path / "home" / "scores").iterdir())


def test_intervals_go_into_files_tables_and_the_log(
    use_case: UseCase, registered: Registered, platform: Platform, raw_engine: Engine, tmp_path: Path
) -> None:
    interval = Interval(coverage=0.9, at=(0.0,), half_widths=(0.25,))
    values = {"kind": TaskKind.REGRESSION, "target": Target(name="amount"), "interval": interval}
    registered.promote(registered.add(contract=registered.contract.model_copy(update=values)))
    source = write(tmp_path / "in.csv", 20, age={3: "old"})
    run(use_case, platform, source, tmp_path / "out.csv", log=True)
    run(use_case, platform, source, "raw_data.the_values")
    rows = read(tmp_path / "out.csv")
    assert rows[3]["lower"] == rows[3]["upper"] == ""
    del rows[3]
    found = [(float(row["prediction"]), float(row["lower"]), float(row["upper"])) for row in rows]
    assert all((lower, upper) == pytest.approx((value - 0.25, value + 0.25)) for value, lower, upper in found)
    tables = {
        "the_values": "select prediction, lower, upper from the_values where problem is null order by line",
        "predictions": "select prediction::text::float, lower, upper from predictions order by record_key::int",
    }
    with raw_engine.connect() as connection:
        for query in tables.values():
            kept = [tuple(row) for row in connection.execute(text(query))]
            assert np.allclose(kept, found)


def test_a_record_that_cannot_be_scored_has_its_row_and_its_problem(
    use_case: UseCase, platform: Platform, tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"age": {1: "old", 2: 7}, "loan_duration_years": {3: None}}
    source = write(tmp_path / "in.csv", 5, **changes)
    with source.open("a", encoding="utf-8") as file:
        file.write("9,1\n")
    result = run(use_case, platform, source, tmp_path / "out.csv")
    assert (result.rows, result.problems) == (6, 4)
    rows = read(tmp_path / "out.csv")
    assert [bool(row["prediction"]) for row in rows] == [True, False, False, False, True, False]
    assert rows[1]["problem"] == "age: 'old' is not a whole number (of up to 15 digits)"
    assert rows[2]["problem"].startswith("age is outside of what is valid")
    assert rows[3]["problem"] == "loan_duration_years is missing"
    assert rows[5]["problem"].startswith("has 2 cells")


def test_a_table_is_scored_into_a_table_and_logged(
    use_case: UseCase, platform: Platform, raw_engine: Engine, tmp_path: Path
) -> None:
    source = tmp_path / "in.csv"
    write(source, 200)
    lines = source.read_text(encoding="utf-8").splitlines()
    labelled = [f"{lines[0]},loan_approval", *(f"{line},{number % 2}" for number, line in enumerate(lines[1:]))]
    source.write_text("\n".join(labelled) + "\n", encoding="utf-8")
    load(use_case, str(source), platform.raw, 0.05)
    target = "raw_data.the_scores"
    result = run(use_case, platform, f"raw_data.{use_case.name}", target, log=True)
    assert (result.rows, result.problems) == (200, 0)
    with raw_engine.connect() as connection:
        joined = connection.execute(
            text(
                "select the_scores.record_key, the_scores.prediction, probability, predictions.prediction::text, role, "
                "features->>'annual_income' from the_scores join predictions using (request_id)"
            )
        ).all()
    wanted = expected(tmp_path, 200)
    assert len(joined) == 200
    for key, prediction, probability, logged, role, income in joined:
        assert probability == pytest.approx(wanted[int(key)], abs=1e-6)
        assert (str(prediction), role, float(income)) == (logged, "score", record(int(key))["annual_income"])
    with pytest.raises(BadInput, match="drop it, or choose another name"):
        run(use_case, platform, f"raw_data.{use_case.name}", target)
    with pytest.raises(BadInput, match="not of a scoring"):
        run(use_case, platform, f"raw_data.{use_case.name}", "raw_data.batches")
    with pytest.raises(BadInput, match="there is no table nothing"):
        run(use_case, platform, "clean_data.nothing", "raw_data.other")


def test_without_a_version_there_is_nothing_to_score_with(platform: Platform, tmp_path: Path) -> None:
    unknown = LOANS.model_copy(update={"name": f"unknown_{uuid.uuid4().hex[:8]}"})
    with pytest.raises(NothingToWorkOn, match="no version in production"):
        run(unknown, platform, write(tmp_path / "in.csv", 1), tmp_path / "out.csv")


class Killed(Exception):
    """Stands for the end of the process between two pages."""


@pytest.mark.parametrize("target", ["out.csv", "raw_data.the_scores"])
def test_what_was_stopped_goes_on_and_nothing_is_there_twice(
    use_case: UseCase, platform: Platform, raw_engine: Engine, tmp_path: Path, target: str
) -> None:
    where = target if target.startswith("raw_data") else str(tmp_path / target)
    source = write(tmp_path / "in.csv", MANY)

    def stop(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        score(use_case, platform, str(source), where, log=True, tell=stop)
    first = count(raw_engine, "predictions")
    assert 0 < first < MANY
    result = run(use_case, platform, source, where, log=True)
    assert (result.rows, result.resumed_at) == (MANY, first)
    with raw_engine.connect() as connection:
        keys = connection.execute(text("select count(*), count(distinct record_key) from predictions")).one()
    assert tuple(keys) == (MANY, MANY)
    assert (count(raw_engine, "the_scores") if where == target else len(read(Path(where)))) == MANY


def test_stopped_after_the_first_page_was_logged_and_before_it_was_written(
    use_case: UseCase, platform: Platform, raw_engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.csv", 10)

    target = tmp_path / "out.csv"

    def stop(_: int) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", stop)
        with pytest.raises(Killed):
            run(use_case, platform, source, target, log=True)
    assert count(raw_engine, "predictions") == 10
    run(use_case, platform, source, target, log=True)
    assert count(raw_engine, "predictions") == 10


def test_what_was_scored_is_not_counted_among_the_answers_of_the_api(
    use_case: UseCase, platform: Platform, raw_engine: Engine, tmp_path: Path
) -> None:
    run(use_case, platform, write(tmp_path / "in.csv", 10), tmp_path / "out.csv", log=True)
    assert platform.raw.counts(use_case.name)["predictions"] == 0
    with raw_engine.begin() as connection:
        connection.execute(text("update predictions set role = 'shadow' where record_key = '1'"))
        connection.execute(text("update predictions set role = 'production' where record_key in ('2', '3')"))
    assert platform.raw.counts(use_case.name)["predictions"] == 2


def test_a_source_that_changed_meanwhile_is_not_mixed(use_case: UseCase, platform: Platform, tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", MANY)

    def stop(_: int) -> None:
        raise Killed

    with pytest.raises(Killed):
        score(use_case, platform, str(source), str(tmp_path / "out.csv"), log=False, tell=stop)
    write(source, MANY, age={5: 44})
    with pytest.raises(BadInput, match="has changed since"):
        run(use_case, platform, source, tmp_path / "out.csv")


def test_the_command_goes_on_after_a_kill(
    use_case: UseCase, empty_postgres: Postgres, tracking_uri: str, raw_engine: Engine, tmp_path: Path
) -> None:
    declaration = (
        "from modelyard.use_cases.loan_approval import USE_CASE as LOANS\n"
        f"USE_CASE = LOANS.model_copy(update={{'name': '{use_case.name}'}})\n"
    )
    (tmp_path / "declared").mkdir()
    (tmp_path / "declared" / f"{use_case.name}.py").write_text(declaration, encoding="utf-8")
    source, target = write(tmp_path / "in.csv", MANY), tmp_path / "out.csv"
    environment = child_environment(
        {
            "MODELYARD_HOME": str(tmp_path / "home"),
            "USE_CASES_PATH": str(tmp_path / "declared"),
            "RAW_DATABASE_URL": empty_postgres.url("raw_data"),
            "CLEAN_DATABASE_URL": empty_postgres.url("clean_data"),
            "MLFLOW_TRACKING_URI": tracking_uri,
        }
    )
    modelyard = str(Path(sys.executable).with_name("modelyard"))
    command = [modelyard, "score", "--use-case", use_case.name, "--log", "--in", str(source), "--out", str(target)]
    with subprocess.Popen(command, env=environment) as process:
        wait_until(lambda: count(raw_engine, "predictions") > 0)
        os.kill(process.pid, signal.SIGKILL)
    assert not target.exists()
    subprocess.run(command, env=environment, check=True)
    rows = read(target)
    assert [int(row["record_key"]) for row in rows] == list(range(MANY))
    wanted = expected(tmp_path, 1000)
    assert [float(row["probability"]) for row in rows[:1000]] == pytest.approx(wanted, abs=1e-6)
    assert count(raw_engine, "predictions") == MANY

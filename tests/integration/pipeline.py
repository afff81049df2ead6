"""The steps from a source to a version in production, one after the other, as a run in Airflow takes them."""

import csv
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import text

from modelyard.steps.compare import CompareResult, compare
from modelyard.steps.load import LoadResult, load
from modelyard.steps.preprocess import PreprocessResult, preprocess
from modelyard.steps.promote import PromoteResult, promote
from modelyard.steps.stores import Platform
from modelyard.steps.train import TrainResult, train
from modelyard.use_case import UseCase

RECORDS = Path(__file__).parents[2] / "data" / "loan_approval.csv"
ROWS = 2000
TODAY = date(2026, 11, 20)


def rows(count: int) -> list[list[str]]:
    with RECORDS.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[: count + 1]


def write(path: Path, lines: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)
    return path


def loaded(use_case: UseCase, platform: Platform, source: Path | str) -> LoadResult:
    return load(use_case, str(source), platform.raw, platform.settings.allowed_bad_share, platform.objects)


def preprocessed(use_case: UseCase, platform: Platform) -> PreprocessResult:
    return preprocess(use_case, platform.raw, platform.clean, platform.objects)


def train_all(
    use_case: UseCase, platform: Platform, source: Path | str, run: str = "first", day: date = TODAY
) -> tuple[list[TrainResult], CompareResult]:
    keep(platform, run, use_case, "load", loaded(use_case, platform, source))
    keep(platform, run, use_case, "preprocess", preprocessed(use_case, platform))
    trained = []
    for candidate in use_case.candidates:
        trained.append(train(use_case, candidate.name, platform, run, day))
        keep(platform, run, use_case, "train", trained[-1], candidate.name)
    compared = compare(use_case, platform, run)
    keep(platform, run, use_case, "compare", compared)
    return trained, compared


def keep(platform: Platform, run: str, use_case: UseCase, step: str, result: Any, part: str = "") -> None:
    platform.results.keep(run, use_case.name, step, result, 0.1, part)


def loop(use_case: UseCase, platform: Platform, source: Path | str, run: str = "first") -> PromoteResult:
    train_all(use_case, platform, source, run)
    return promote(use_case, platform, unattended=True)


def verdicts(use_case: UseCase, platform: Platform) -> list[Any]:
    kept = text("select * from gate_verdicts where use_case = :use_case order by verdict_id")
    with platform.raw.engine.connect() as connection:
        return list(connection.execute(kept, {"use_case": use_case.name}))


def connected_with(platform: Platform, **settings: int) -> Platform:
    changed = platform.settings.model_copy(update=settings)
    return Platform(**{**vars(platform), "settings": changed})

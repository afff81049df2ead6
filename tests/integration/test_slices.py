"""Models are judged apart by the values of a column; what came of it is in MLflow and in the verdict."""

from pathlib import Path

import mlflow

from modelyard.contract import Feature, FeatureType
from modelyard.steps.stores import Platform
from modelyard.stores.registry import PRODUCTION
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import UseCase
from tests.integration import test_pipeline
from tests.integration.test_pipeline import ROWS, loop, rows, verdicts, write

# The same fixtures.
use_case, platform = test_pipeline.use_case, test_pipeline.platform

# MLflow refuses most of these in a metric's name.
PAGES = ("north", "https://shop.example/../a", "n//a", "a=b?", "x" * 300)


def test_slices_of_any_text_are_in_mlflow_and_the_verdict_is_kept(
    use_case: UseCase, platform: Platform, tmp_path: Path, tracking_uri: str
) -> None:
    header, *lines = rows(ROWS)
    paged = [[*line, PAGES[place % len(PAGES)]] for place, line in enumerate(lines)]
    page = Feature(name="page", type=FeatureType.CATEGORY, nullable=True)
    sliced = use_case.model_copy(update={"features": (*use_case.features, page), "slices": ("page",)})
    result = loop(sliced, platform, write(tmp_path / "paged.csv", [[*header, "page"], *paged]))
    assert result.verdict is Verdict.PROMOTED, result.reasons
    [kept] = verdicts(sliced, platform)
    assert {found["part"] for found in kept.numbers["guards"]["slices"]} == {f"page={value}" for value in PAGES}
    assert any(line.startswith("where page=north") for line in result.findings)
    run_id = platform.registry.version(sliced.name, result.version).run_id
    metrics = mlflow.MlflowClient(tracking_uri).get_run(run_id).data.metrics
    of_north = [metrics[f"slice.page_north.roc_auc{end}"] for end in ("_low", "", "_high")]
    assert of_north == sorted(of_north)
    assert len([name for name in metrics if name.startswith("slice.")]) == 3 * len(kept.numbers["guards"]["slices"])
    assert platform.registry.aliased(sliced.name, PRODUCTION) == result.version

"""What must not come into production, through the whole pipeline: a real Postgres and a real MLflow."""

from pathlib import Path

from modelyard.contract import Label, Target
from modelyard.steps.stores import Platform
from modelyard.stores.registry import PRODUCTION
from modelyard.stores.verdicts import Verdict
from modelyard.use_case import UseCase
from tests.integration import test_pipeline
from tests.integration.test_pipeline import ROWS, loop, rows, write

# The same fixtures.
use_case, platform, records = test_pipeline.use_case, test_pipeline.platform, test_pipeline.records


def with_classes(use_case: UseCase, *classes: Label) -> UseCase:
    target = use_case.target.model_dump() | {"classes": classes, "class_titles": ()}
    return use_case.model_copy(update={"target": Target.model_validate(target)})


def test_classes_in_another_order_bring_no_model_into_production(
    use_case: UseCase,
    platform: Platform,
    records: Path,
    tmp_path: Path,
) -> None:
    turned = with_classes(use_case, *reversed(use_case.target.classes))
    assert loop(use_case, platform, records).verdict is Verdict.PROMOTED
    refused = loop(turned, platform, write(tmp_path / "grown.csv", rows(ROWS + 500)), "second")
    assert refused.verdict is Verdict.REFUSED
    assert "the probability was of 1 and would be of 0" in refused.reasons[0]
    assert platform.registry.aliased(use_case.name, PRODUCTION) == 1

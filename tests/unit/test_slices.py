"""By which values models are judged apart."""

import numpy as np
import pandas as pd

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.models.evaluation.evidence import Answers, Evidence
from modelyard.models.evaluation.guards import MOST_SLICES, guard
from modelyard.models.evaluation.slices import slice_values
from modelyard.use_case import Gate

CONTRACT = Contract(
    use_case="any",
    kind=TaskKind.BINARY,
    features=(
        Feature(name="region", type=FeatureType.CATEGORY, nullable=True),
        Feature(name="had_default", type=FeatureType.BOOLEAN, nullable=True),
    ),
    target=Target(name="y", classes=("no", "yes")),
)


def test_a_missing_value_is_a_slice_of_its_own() -> None:
    test = pd.DataFrame({"region": ["north", "", "south"], "had_default": np.array([1, 0, np.nan], dtype=np.float32)})
    assert slice_values(CONTRACT, "region", test).tolist() == ["north", "(missing)", "south"]
    assert slice_values(CONTRACT, "had_default", test).tolist() == ["true", "false", "(missing)"]


def test_the_commonest_values_are_slices_also_where_one_class_has_no_record() -> None:
    records = 1000
    truth, probability = np.arange(records) % 2, np.random.default_rng(0).random(records)
    towns = np.array([f"town {place % (MOST_SLICES - 1)}" for place in range(records)])
    towns[truth == 1] = np.where(towns[truth == 1] == "town 0", "town 1", towns[truth == 1])
    towns[-30:] = [f"hamlet {place}" for place in range(30)]
    answers = Answers(CONTRACT, np.column_stack([1 - probability, probability]))
    slices = guard(Gate(), Evidence(truth, answers, answers, slices={"town": towns})).slices
    parts = {found.part for found in slices}
    assert len(parts) == MOST_SLICES
    assert sum("hamlet" in str(part) for part in parts) == 1
    assert {found.metric for found in slices if found.part == "town=town 0"} == {"log_loss"}

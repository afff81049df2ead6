import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.models.compile import Agreement
from modelyard.models.gate import Judgement, judge, objections_to_data
from modelyard.usecase import Gate

RECORDS = 1000
GOOD = Agreement(records=RECORDS, largest_difference=1e-7, other_decisions=0)
GATE = Gate()
CONTRACT = Contract(
    use_case="any",
    kind=TaskKind.BINARY,
    features=(Feature(name="size", type=FeatureType.NUMBER),),
    target=Target(name="y", classes=(0, 1)),
)
TRUTH = np.arange(RECORDS) % 2


def model(signal: float, seed: int = 0) -> NDArray[np.float64]:
    """Probabilities that tell the classes apart the better the stronger the signal."""
    score = 1 / (1 + np.exp(-(signal * (TRUTH - 0.5) + np.random.default_rng(seed).normal(size=RECORDS))))
    return np.column_stack([1 - score, score])


DUMMY = np.full((RECORDS, 2), 0.5)


def judged(
    scores: NDArray[np.float64],
    champion: NDArray[np.float64] | None = None,
    agreement: Agreement = GOOD,
    objections: tuple[str, ...] = (),
) -> Judgement:
    beside = None if champion is None else (CONTRACT, champion)
    return judge(GATE, CONTRACT, TRUTH, scores, DUMMY, beside, agreement, objections, seed=0)


def test_a_good_model_passes() -> None:
    judgement = judged(model(2))
    assert judgement.passed
    assert judgement.against_baseline is not None
    assert judgement.against_baseline.bound > 0.3
    assert judgement.metrics["roc_auc"] > judgement.baseline["roc_auc"] == 0.5


@pytest.mark.parametrize("seed", range(50))
def test_chance_does_not_pass(seed: int) -> None:
    judgement = judged(model(0, seed))
    assert "does not beat a dummy beyond chance" in judgement.reasons[0]


def test_a_model_turned_upside_down_does_not_pass() -> None:
    assert not judged(model(-2)).passed


def test_a_model_worse_than_the_champion_does_not_pass() -> None:
    judgement = judged(model(1), champion=model(2))
    assert "worse than the model in production" in judgement.reasons[0]
    assert judgement.champion is not None


@pytest.mark.parametrize("signal", [2, 3])
def test_a_model_as_good_as_the_champion_or_better_passes(signal: float) -> None:
    assert judged(model(signal), champion=model(2)).passed


def test_a_model_that_compiles_to_another_one_does_not_pass() -> None:
    judgement = judged(model(2), agreement=Agreement(records=9, largest_difference=0.01, other_decisions=0))
    assert "compiled and the fitted model disagree" in judgement.reasons[0]


def test_an_objection_is_enough() -> None:
    assert judged(model(3), objections=("its contract breaks clients",)).reasons == ("its contract breaks clients",)


def test_too_few_test_records_are_an_objection() -> None:
    [sentence] = objections_to_data(GATE, CONTRACT, TRUTH, TRUTH[: GATE.minimum_test_records - 1])
    assert "too few test records: 99" in sentence


@pytest.mark.parametrize("part", ["training", "test"])
def test_a_missing_class_is_an_objection(part: str) -> None:
    parts = {"training": TRUTH, "test": TRUTH, part: np.zeros(RECORDS, dtype=int)}
    [sentence] = objections_to_data(GATE, CONTRACT, parts["training"], parts["test"])
    assert sentence == f"the {part} part has no record of class 1"


def test_two_judgements_of_the_same_are_the_same() -> None:
    assert judged(model(1), champion=model(2)) == judged(model(1), champion=model(2))

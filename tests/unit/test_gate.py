from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmarks import gate as benchmark
from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.models.evaluation.evidence import Answers, Evidence
from modelyard.models.evaluation.gate import Judgement, judge, objections_to_data, refuse
from modelyard.models.tabular.export import Agreement
from modelyard.use_case import Gate

RECORDS = 1000
GOOD = Agreement(records=RECORDS, largest_difference=1e-7, other_decisions=0)
GATE = Gate()
FIRST_LOOK = GATE.error_rate(1, 1)
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
    reference: NDArray[np.float64] | None = None,
    agreement: Agreement = GOOD,
    gate: Gate = GATE,
) -> Judgement:
    beside, best = (None if each is None else Answers(CONTRACT, each) for each in (champion, reference))
    evidence = Evidence(TRUTH, Answers(CONTRACT, scores), Answers(CONTRACT, DUMMY), beside, best)
    return judge(gate, evidence, agreement, FIRST_LOOK)


def test_a_good_model_passes() -> None:
    judgement = judged(model(2))
    assert judgement.passed
    assert judgement.weighed is not None
    assert judgement.weighed.against_baseline.bound > 0.3
    assert judgement.is_best
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
    assert refuse(["its contract breaks clients"], GOOD, RECORDS).reasons == ("its contract breaks clients",)


def test_too_few_test_records_are_an_objection() -> None:
    truth = np.arange(400) % 50 == 0
    [of_class] = objections_to_data(GATE, CONTRACT, TRUTH, truth.astype(int))
    assert of_class == "too few test records: 8 of class 1, and at least 10 of each class are needed"
    regression = CONTRACT.model_copy(update={"kind": TaskKind.REGRESSION, "target": Target(name="y")})
    [of_all] = objections_to_data(GATE, regression, TRUTH, TRUTH[:19])
    assert of_all == "too few test records: 19, and at least 20 are needed"
    assert objections_to_data(GATE, regression, TRUTH, TRUTH[:20]) == []


def test_a_value_that_is_the_same_in_every_test_record_is_an_objection() -> None:
    regression = CONTRACT.model_copy(update={"kind": TaskKind.REGRESSION, "target": Target(name="y")})
    [sentence] = objections_to_data(GATE, regression, TRUTH, np.full(100, 2.5))
    assert sentence.startswith("the target is 2.5 in every test record")


@pytest.mark.parametrize("former", ["champion_margin", "resamples"])
def test_a_former_setting_is_a_sentence(former: str) -> None:
    with pytest.raises(ValidationError, match=f"{former} is no longer a setting of Gate: .*margin|take it out"):
        Gate.model_validate({former: 0.02})


def test_all_looks_together_cost_no_more_than_one() -> None:
    gate = Gate(level=0.95)
    spent = sum(gate.error_rate(doubling, look) for doubling in range(1, 200) for look in range(1, 200))
    assert 0.049 < spent < 0.05
    assert GATE.error_rate(1, 1) == pytest.approx(0.0037, abs=1e-5)


def test_better_must_be_shown_where_it_is_wanted() -> None:
    better = Gate(require="better")
    assert judged(model(3), champion=model(2), gate=better).passed
    refused = judged(model(2), champion=model(2), gate=better)
    assert "not shown to be better than the model in production" in refused.reasons[0]


def test_a_model_worse_than_the_best_version_does_not_pass_though_production_is_worse() -> None:
    judgement = judged(model(1.5), champion=model(1.5), reference=model(3))
    assert "it may be worse than the best version ever promoted" in judgement.reasons[0]
    assert judgement.reference is not None


def test_a_model_is_the_best_only_when_that_is_shown() -> None:
    assert judged(model(3), champion=model(2)).is_best
    assert not judged(model(2), champion=model(2)).is_best
    assert not judged(model(3), champion=model(2), reference=model(3)).is_best


def test_the_margin_is_a_share_of_the_error_that_is_left() -> None:
    noise = np.random.default_rng(1).normal(scale=0.05, size=(RECORDS, 2))
    slightly_worse = model(3) + noise
    assert judged(slightly_worse, champion=model(3), gate=Gate(margin=1)).passed
    assert not judged(slightly_worse, champion=model(3), gate=Gate(margin=0.001)).passed


@pytest.mark.parametrize("part", ["training", "test"])
def test_a_missing_class_is_an_objection(part: str) -> None:
    parts = {"training": TRUTH, "test": TRUTH, part: np.zeros(RECORDS, dtype=int)}
    [sentence] = objections_to_data(GATE, CONTRACT, parts["training"], parts["test"])
    assert sentence == f"the {part} part has no record of class 1"


def test_a_class_that_the_model_does_not_know_is_an_objection() -> None:
    found = objections_to_data(GATE, CONTRACT, TRUTH, np.arange(RECORDS) % 3)
    assert found == ["the test part has records of class 2, which the model does not know"]


def test_two_judgements_of_the_same_are_the_same() -> None:
    assert judged(model(1), champion=model(2)) == judged(model(1), champion=model(2))


POSITIVES = [1, 2, 3, 10, 20, 100]
DRAWS = 300


def share_passed(draw: Callable[[np.random.Generator], Sequence[float]], draws: int = DRAWS) -> float:
    generator = np.random.default_rng(7)
    return float(np.mean([draw(generator) for _ in range(draws)]))


@pytest.mark.parametrize("positives", POSITIVES)
def test_noise_does_not_pass_however_few_positives_there_are(positives: int) -> None:
    assert share_passed(partial(benchmark.false_pass, positives, RECORDS)) <= 0.01


def test_noise_does_not_pass_on_small_tables() -> None:
    assert share_passed(partial(benchmark.false_pass, 15, 30)) <= 0.01
    assert share_passed(partial(benchmark.false_pass_of_three_classes, 60)) <= 0.01
    assert share_passed(partial(benchmark.false_pass_of_values, 30)) <= 0.015


def test_of_many_models_of_noise_none_passes_on_a_table_that_grows() -> None:
    assert share_passed(benchmark.any_false_pass, 5) == 0


def test_what_is_good_passes_all_the_same() -> None:
    assert share_passed(partial(benchmark.power_of_first, 20, RECORDS)) >= 0.85
    assert share_passed(partial(benchmark.power, RECORDS, 100, False)) >= 0.5


def test_forty_retrainings_each_a_little_worse_do_not_walk_downhill() -> None:
    generator = np.random.default_rng(7)
    promoted, lost = np.mean([benchmark.walk(generator) for _ in range(3)], axis=0)
    assert promoted <= 4
    assert lost <= 0.02

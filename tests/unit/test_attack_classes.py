"""A worse model must not come into production because the classes have another order, or are others."""

import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.contract import Contract, Feature, FeatureType, Label, Target, TaskKind
from modelyard.models.evaluation.evidence import Answers, Evidence
from modelyard.models.evaluation.gate import Judgement, judge
from modelyard.models.tabular.export import Agreement
from modelyard.use_case import Gate

AGREES = Agreement(records=1, largest_difference=0, other_decisions=0)
PHOTO = Feature(name="photo", type=FeatureType.IMAGE, shape=(8, 8, 3))
Labels = NDArray[np.object_]


def contract(*classes: str, kind: TaskKind | None = None) -> Contract:
    kind = kind or (TaskKind.BINARY if len(classes) == 2 else TaskKind.MULTICLASS)
    feature = PHOTO if kind is TaskKind.IMAGE else Feature(name="size", type=FeatureType.NUMBER)
    return Contract(use_case="any", kind=kind, features=(feature,), target=Target(name="y", classes=classes))


def labels(*classes: Label, records: int = 1500) -> Labels:
    return np.array(classes, dtype=object)[np.arange(records) % len(classes)]


def answers(of: Contract, truth: Labels, signal: float, seed: int) -> Answers:
    """What a model says that tells the classes apart the better the stronger the signal."""
    right = np.array(of.target.classes, dtype=object)[None, :] == truth[:, None]
    raised = np.exp(signal * right + np.random.default_rng(seed).normal(size=right.shape))
    return Answers(of, raised / raised.sum(axis=1, keepdims=True))


def judged(truth: Labels, model: Answers, champion: Answers) -> Judgement:
    places = {label: place for place, label in enumerate(model.contract.target.classes)}
    evidence = Evidence(
        truth=np.array([places[label] for label in truth]),
        model=model,
        baseline=Answers(model.contract, np.full_like(model.scores, 1 / len(places))),
        champion=champion,
    )
    return judge(Gate(), evidence, AGREES, Gate().error_rate(1, 1))


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        (contract("no", "yes"), contract("yes", "no")),
        (contract("a", "b", "c"), contract("c", "a", "b")),
        (contract("a", "c", "d"), contract("a", "b", "c", "d")),
        (contract("a", "b", "c", kind=TaskKind.IMAGE), contract("c", "b", "a", kind=TaskKind.IMAGE)),
    ],
)
def test_a_worse_model_does_not_pass_by_other_classes(older: Contract, newer: Contract) -> None:
    truth = labels(*newer.target.classes)
    strong, weak = answers(older, truth, 2.5, seed=1), answers(newer, truth, 0.5, seed=2)
    judgement = judged(truth, weak, strong)
    assert "worse than the model in production" in judgement.reasons[0]
    assert judgement.champion is not None
    assert max(judgement.champion.values()) > 0.9
    assert judged(truth, answers(newer, truth, 3, seed=3), answers(older, truth, 2.5, seed=1)).passed


def test_a_new_class_is_compared_on_the_records_of_the_old_ones() -> None:
    older, newer = contract("a", "c", "d"), contract("a", "b", "c", "d")
    truth = labels("a", "b", "c", "d")
    judgement = judged(truth, answers(newer, truth, 3, seed=3), answers(older, truth, 2.5, seed=1))
    assert judgement.weighed is not None
    assert judgement.weighed.against_champion is not None
    assert judgement.weighed.against_champion.records == np.count_nonzero(truth != "b")
    assert judgement.notes == (
        "class b is new: compared with the model in production, which does not know it, its records do not count",
    )


@pytest.mark.parametrize(
    ("older", "newer", "words"),
    [
        (contract("no", "yes"), contract("yes", "no"), "the probability was of yes and would be of no"),
        (
            contract("no", "yes", kind=TaskKind.IMAGE),
            contract("no", "yes", "perhaps", kind=TaskKind.IMAGE),
            "the probability was of yes and would be of whichever class is predicted",
        ),
        (contract("a", "b", "c", "d"), contract("a", "c", "d"), "class b was lost"),
    ],
)
def test_clients_are_told_what_other_classes_break(older: Contract, newer: Contract, words: str) -> None:
    [sentence] = older.breaking_changes(newer)
    assert words in sentence


@pytest.mark.parametrize("newer", [contract("c", "a", "b"), contract("a", "b", "c", "d")])
def test_where_answers_name_their_classes_no_client_breaks(newer: Contract) -> None:
    assert contract("a", "b", "c").breaking_changes(newer) == []

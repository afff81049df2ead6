"""Models are judged beside the best version ever promoted, and every look at a test part is paid for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from modelyard.contract import Limits
from modelyard.steps.promote import promote, rollback
from modelyard.steps.prune import prune
from modelyard.steps.stores import Platform
from modelyard.stores.looks import Looks
from modelyard.stores.verdicts import Verdict, Verdicts
from modelyard.use_case import Candidate, UseCase
from tests.integration import test_pipeline
from tests.integration.test_pipeline import connected_with, loop, train_all, verdicts

# The same fixtures.
use_case, platform, records = test_pipeline.use_case, test_pipeline.platform, test_pipeline.records

STUMP = Candidate(name="stump", estimator="sklearn.tree.DecisionTreeClassifier", parameters={"max_depth": 1})


def with_stump(use_case: UseCase, **parameters: int) -> UseCase:
    """With a model that is much worse, and the same whatever the parameters."""
    stump = STUMP.model_copy(update={"parameters": {"max_depth": 1, **parameters}})
    return use_case.model_copy(update={"candidates": (stump,)})


def narrowed(use_case: UseCase) -> UseCase:
    age, *others = use_case.features
    return use_case.model_copy(
        update={"features": (age.model_copy(update={"valid": Limits(minimum=18, maximum=99)}), *others)}
    )


def force(use_case: UseCase, platform: Platform, records: Path, run: str) -> int:
    train_all(use_case, platform, records, run)
    return promote(use_case, platform, force_reason="a drill").version


def test_what_is_as_bad_as_production_is_refused_beside_the_best_version(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    assert loop(use_case, platform, records).verdict is Verdict.PROMOTED
    assert force(with_stump(use_case), platform, records, "second") == 2
    refused = loop(with_stump(use_case, min_samples_leaf=2), platform, records, "third")
    assert refused.verdict is Verdict.REFUSED
    assert refused.reasons[0].startswith("it may be worse than the best version ever promoted: roc_auc")
    assert refused.reference_version == 1
    assert refused.reference is not None
    assert refused.reference["roc_auc"] > refused.metrics["roc_auc"]
    assert [row.numbers["look"] for row in verdicts(use_case, platform)] == [
        {"doubling": 1, "look": look} for look in (1, 2, 3)
    ]


@pytest.mark.long
def test_the_best_version_is_not_pruned_even_where_it_does_not_fit_now(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    loop(use_case, platform, records)
    for place in range(3):
        force(with_stump(use_case, min_samples_leaf=place + 1), platform, records, f"run {place}")
    keeping_one = connected_with(platform, keep_versions=1)
    assert prune(narrowed(use_case), keeping_one).versions == (2,)
    assert prune(use_case, keeping_one).versions == ()
    assert {version.number for version in platform.registry.versions(use_case.name)} == {1, 3, 4}


@pytest.mark.long
def test_where_the_best_version_does_not_fit_the_next_one_takes_its_place(
    use_case: UseCase, platform: Platform, records: Path
) -> None:
    loop(use_case, platform, records)
    assert force(narrowed(use_case), platform, records, "second") == 2
    third = loop(narrowed(use_case).model_copy(update={"seed": 5}), platform, records, "third")
    assert third.verdict is Verdict.PROMOTED, third.reasons
    assert third.reference_version is None
    [note] = third.notes
    assert note.startswith("version 1 would be the reference, and cannot be compared: feature age could be")
    assert verdicts(use_case, platform)[-1].numbers["notes"] == [note]
    fourth = loop(narrowed(use_case).model_copy(update={"seed": 6}), platform, records, "fourth")
    assert (fourth.reference_version, fourth.notes) == (3, (note,))


def test_verdicts_of_former_releases_are_carried_over(
    use_case: UseCase, platform: Platform, records: Path, admin_raw_engine: Engine
) -> None:
    loop(use_case, platform, records)
    with admin_raw_engine.begin() as connection:
        connection.execute(text("update gate_verdicts set numbers = '{}'"))
        connection.execute(text("delete from gate_looks"))
    second = loop(use_case.model_copy(update={"seed": 5}), platform, records, "second")
    assert second.verdict is Verdict.PROMOTED, second.reasons
    assert second.reference_version == 1


@pytest.mark.parametrize(
    ("history", "ranked"),
    [
        ([(1, True), (2, False), (3, False)], [1, 2, 3]),
        ([(1, True), (2, False), (3, True)], [3, 1, 2]),
        ([(1, True), (2, True), (1, False)], [2, 1]),
        ([(1, None), (2, None)], [1, 2]),
        ([], []),
    ],
)
def test_a_version_is_the_best_until_another_one_is_shown_to_be_better(
    raw_engine: Engine, history: Sequence[tuple[int, bool | None]], ranked: list[int]
) -> None:
    kept = Verdicts(raw_engine)
    for version, is_best in history:
        numbers: dict[str, Any] = {} if is_best is None else {"is_best": is_best}
        kept.keep("loans", version, None, Verdict.PROMOTED, numbers=numbers)
        kept.keep("others", 9, None, Verdict.PROMOTED, numbers=numbers)
    kept.keep("loans", 7, None, Verdict.FORCED, numbers={"is_best": True})
    kept.keep("loans", 8, None, Verdict.REFUSED, numbers={"is_best": True})
    assert kept.best_first("loans") == ranked


def test_what_was_taken_out_of_production_is_no_reference(use_case: UseCase, platform: Platform, records: Path) -> None:
    loop(use_case, platform, records)
    loop(use_case.model_copy(update={"seed": 5}), platform, records, "second")
    assert platform.verdicts.best_first(use_case.name) == [1, 2]
    rollback(use_case, platform)
    assert platform.verdicts.best_first(use_case.name) == [1]


def test_every_look_is_counted_once(raw_engine: Engine) -> None:
    looks = Looks(raw_engine)

    def take(version: int, snapshot: str, records: int, name: str = "loans") -> tuple[int, int]:
        look = looks.take(name, version, snapshot, records)
        return look.doubling, look.look

    assert [take(version, "a", 100) for version in (1, 2, 2, 1)] == [(1, 1), (1, 2), (1, 2), (1, 1)]
    # The same version on other records, and until these are twice as many.
    assert [take(2, "b", 150), take(3, "c", 199), take(3, "d", 200), take(4, "d", 200)] == [
        (1, 3),
        (1, 4),
        (2, 1),
        (2, 2),
    ]
    # Four times as many, more than that, and fewer than ever.
    assert [take(5, "e", 400), take(6, "f", 900), take(7, "g", 50)] == [(3, 1), (4, 1), (1, 5)]
    assert take(1, "a", 100, "others") == (1, 1)

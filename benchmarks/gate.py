"""How often the gate errs: models of known worth, judged by the gate's own code on drawn test records.

    python -m benchmarks.gate
    python -m benchmarks.gate --picture docs/images/gate.png

A score is normal in each class. Of two models, the scores of a record are correlated. With 2 000 draws, a share
of 0.01 has a standard error of 0.002.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import expit
from scipy.stats import norm

from modelyard.contract import Contract, Feature, FeatureType, Target, TaskKind
from modelyard.models.evaluation.evidence import Answers, Evidence
from modelyard.models.evaluation.gate import Weighed, objections_to_data, weigh
from modelyard.models.evaluation.guards import guard
from modelyard.models.evaluation.metrics import choose_threshold
from modelyard.objective import Objective
from modelyard.stores.looks import doubling_of
from modelyard.use_case import Gate

GATE = Gate()
SIZE = Feature(name="size", type=FeatureType.NUMBER)
TWO = Contract(use_case="two", kind=TaskKind.BINARY, features=(SIZE,), target=Target(name="y", classes=(0, 1)))
THREE = Contract(
    use_case="three", kind=TaskKind.MULTICLASS, features=(SIZE,), target=Target(name="y", classes=(0, 1, 2))
)
VALUE = Contract(use_case="value", kind=TaskKind.REGRESSION, features=(SIZE,), target=Target(name="y"))
OBJECTIVE = Objective.of(TWO.kind, TWO.target)
# What is shown of the records: shares of the test part.
REGIONS = {"north": 0.4, "east": 0.3, "south": 0.25, "west": 0.05}
RARE_SLICES = 20
GROUPS, GROUP_SIZE = 200, 5
GROUPED = (
    ("gate_false_passes_groups", "with one label and one score", 1.0, True),
    ("gate_false_passes_groups_of_like_scores", "with one label and like scores", 0.5, True),
    ("gate_false_passes_groups_of_both_classes", "with one score and both labels", 1.0, False),
)
# Of the scores that two models give to a record.
CORRELATION = 0.9
CHAMPION_AREA = 0.8
RETRAININGS, DECLINE, WALK_RECORDS = 40, 0.005, 5000
LOOKS, FIRST_TEST_RECORDS = 100, 40
# Draws that a process makes before it says what it found.
AT_A_TIME = 50
SEED = 1
PICTURE_RECORDS, PICTURE_DRAWS, PICTURE_SERIES = (250, 1000, 5000), 200, 40
PICTURE_DIFFERENCES = (-0.03, -0.02, -0.015, -0.01, -0.005, 0.0, 0.005, 0.01, 0.02, 0.03)

Scores = NDArray[np.float64]
Found = Sequence[float]


class Experiment(NamedTuple):
    """What is drawn again and again.

    Attributes:
        names: What each number of a draw is.
        title: What is drawn.
        draw: Draws once.
        draws: How often.
    """

    names: tuple[str, ...]
    title: str
    draw: Callable[[np.random.Generator], Found]
    draws: int


def false_pass(positives: int, records: int, generator: np.random.Generator) -> Found:
    """Whether a first model of noise passes."""
    return [_is_shown(_two(_classes(positives, records), _answers(generator.normal(size=records))))]


def false_pass_of_three_classes(records: int, generator: np.random.Generator) -> Found:
    """Whether a first model of noise passes that tells three classes apart."""
    truth = np.arange(records) % 3
    flat = Answers(THREE, np.full((records, 3), 1 / 3))
    return [_is_shown(Evidence(truth, Answers(THREE, generator.dirichlet(np.ones(3), records)), flat))]


def false_pass_of_values(records: int, generator: np.random.Generator) -> Found:
    """Whether a first model passes whose values of a heavy-tailed target are noise around the mean."""
    truth = generator.lognormal(sigma=1.5, size=records)
    mean = np.full((records, 1), np.exp(1.5**2 / 2))
    noise = mean * generator.lognormal(-0.045, 0.3, size=(records, 1))
    return [_is_shown(Evidence(truth, Answers(VALUE, noise), Answers(VALUE, mean)))]


def any_false_pass(generator: np.random.Generator) -> Found:
    """Whether any of many models of noise passes, each judged on a table that has grown since the one before."""
    return [any(_passes_at(look, generator) for look in range(1, LOOKS + 1))]


def _passes_at(look: int, generator: np.random.Generator) -> bool:
    records, since = FIRST_TEST_RECORDS * look, doubling_of(look, 1)
    evidence = _two(_classes(records // 2, records), _answers(generator.normal(size=records)))
    return _is_shown(evidence, GATE.error_rate(since, look - 2 ** (since - 1) + 1))


def power_of_first(positives: int, records: int, generator: np.random.Generator) -> Found:
    """Whether a first model of a true area of 0.80 passes."""
    truth = _classes(positives, records)
    [model] = _models(truth, [CHAMPION_AREA], generator)
    return [_passes(_two(truth, _with_threshold(model, CHAMPION_AREA, records, generator)))]


def power(records: int, look: int, with_reference: bool, generator: np.random.Generator) -> Found:
    """Whether a model of a true area of 0.82 passes beside one of 0.80; as reference, there may be another such one.

    Every guard is on: the models' thresholds come from validation parts of their own, and there are slices.
    """
    truth = _classes(records // 2, records)
    areas = [0.82, CHAMPION_AREA, CHAMPION_AREA]
    answers = zip(_models(truth, areas, generator), areas, strict=True)
    model, champion, reference = (_with_threshold(each, area, records // 2, generator) for each, area in answers)
    evidence = _two(truth, model, champion, reference if with_reference else None)
    sliced = replace(evidence, slices={"region": generator.choice(list(REGIONS), records, p=list(REGIONS.values()))})
    return [_passes(sliced, GATE.error_rate(1, look))]


def false_pass_of_groups(shared: float, pure: bool, generator: np.random.Generator) -> Found:
    """Whether a first model of noise passes on groups of records that resemble each other.

    Args:
        shared: How much of the scores' variance the records of a group have in common.
        pure: Whether they have the class in common, too.
        generator: Of the draw.
    """
    groups = np.repeat(np.arange(GROUPS), GROUP_SIZE)
    truth = generator.permutation(_classes(len(groups) // 2, len(groups)))
    if pure:
        truth = generator.permutation(_classes(GROUPS // 2, GROUPS))[groups]
    common, own = generator.normal(size=GROUPS)[groups], generator.normal(size=len(groups))
    score = np.sqrt(shared) * common + np.sqrt(1 - shared) * own
    return [_is_shown(replace(_two(truth, _answers(score)), clusters=groups))]


def refused_by_guards(generator: np.random.Generator) -> Found:
    """Whether the guards refuse a model that is as good as production; one in 13 is positive, and slices are rare."""
    truth = _classes(77, 1000)
    answers = _models(truth, [CHAMPION_AREA, CHAMPION_AREA], generator)
    model, champion = (_with_threshold(each, CHAMPION_AREA, 1000, generator) for each in answers)
    towns = generator.choice(RARE_SLICES, len(truth), p=np.arange(1, RARE_SLICES + 1) / sum(range(RARE_SLICES + 1)))
    evidence = replace(_two(truth, model, champion), slices={"town": towns})
    return [bool(guard(GATE, evidence).reasons)]


def slice_intervals(generator: np.random.Generator) -> Found:
    """The share of a rare slice's intervals that hold: those of the area and of the accuracy."""
    truth = _classes(12, 25)
    [model] = _models(truth, [CHAMPION_AREA], generator)
    aim = Objective.of(TWO.kind, TWO.target, decision_metric="accuracy")
    evidence = replace(_two(truth, model), objective=aim, slices={"all": np.zeros(len(truth))})
    held = {"roc_auc": CHAMPION_AREA, "accuracy": float(norm.cdf(_distance(CHAMPION_AREA) / 2))}
    found = [each for each in guard(GATE, evidence).slices if each.metric in held]
    return [float(np.mean([each.low <= held[each.metric] <= each.high for each in found]))]


def walk(generator: np.random.Generator) -> Found:
    """How many retrainings are promoted, each truly a little below production, and what is lost in the end."""
    areas = list(_walk(generator, with_reference=True))
    return [sum(before != after for before, after in pairwise(areas)), areas[0] - areas[-1]]


def _walk(generator: np.random.Generator, *, with_reference: bool) -> Iterator[float]:
    """The true area in production after each retraining; every one is judged on records of its own."""
    champion = best = CHAMPION_AREA
    yield champion
    truth = _classes(WALK_RECORDS // 2, WALK_RECORDS)
    for look in range(2, RETRAININGS + 2):
        area = champion - DECLINE
        model, before, reference = _models(truth, [area, champion, best], generator)
        moved = with_reference and best != champion
        evidence = _two(truth, model, before, reference if moved else None)
        weighed = _weighed(evidence, GATE.error_rate(1, look))
        if not weighed.reasons and not guard(GATE, evidence).reasons:
            best = area if weighed.is_best else best
            champion = area
        yield champion


def _experiments() -> Iterator[Experiment]:
    for positives in (1, 2, 5, 20, 100, 500):
        name, title = f"gate_false_passes_{positives}_positives", f"noise passes: {positives} of 1 000 positive"
        yield Experiment((name,), title, partial(false_pass, positives, 1000), 2000)
    for records in (30, 60):
        name, title = f"gate_false_passes_{records}_records", f"noise passes: {records} records, half positive"
        yield Experiment((name,), title, partial(false_pass, records // 2, records), 2000)
    name, title = "gate_false_passes_3_classes", "noise passes: three classes of 20 records"
    yield Experiment((name,), title, partial(false_pass_of_three_classes, 60), 2000)
    name, title = "gate_false_passes_values", "noise passes: 30 heavy-tailed values"
    yield Experiment((name,), title, partial(false_pass_of_values, 30), 2000)
    for name, title, shared, pure in GROUPED:
        yield Experiment(
            (name,), f"noise passes: 200 groups of 5, {title}", partial(false_pass_of_groups, shared, pure), 2000
        )
    name, title = "gate_false_passes_100_looks", "any of 100 models of noise passes on a growing table"
    yield Experiment((name,), title, any_false_pass, 1000)
    name, title = "gate_power_first_20_positives", "0.80 passes first: 20 of 1 000 positive"
    yield Experiment((name,), title, partial(power_of_first, 20, 1000), 1000)
    name, title = "gate_power_first_60_records", "0.80 passes first: 60 records, half positive"
    yield Experiment((name,), title, partial(power_of_first, 30, 60), 1000)
    for records, look, label in ((250, 1, "250"), (1000, 1, "1000"), (1000, 100, "1000_100_looks")):
        title = f"0.82 passes beside 0.80: {records} records, look {look}"
        yield Experiment((f"gate_power_{label}",), title, partial(power, records, look, False), 600)
        name, title = f"gate_power_{label}_with_reference", f"{title}, and beside another 0.80"
        yield Experiment((name,), title, partial(power, records, look, True), 200)
    title = "guards refuse 0.80 beside 0.80: 1 000 records, 77 positive, 20 slices"
    yield Experiment(("gate_guards_refuse_equal",), title, refused_by_guards, 400)
    yield Experiment(("gate_slice_intervals",), "intervals hold: slices of 25 records", slice_intervals, 1000)
    yield Experiment(("gate_walk_promoted", "gate_walk_lost"), "40 retrainings, each 0.005 worse", walk, 200)


EXPERIMENTS = tuple(_experiments())


def measure(share: float = 1.0) -> dict[str, float]:
    """Makes all draws, on all cores.

    Args:
        share: Of the draws; fewer for a quick look.
    """
    found: dict[str, float] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        drawn = {place: _drawn(pool, place, each, share) for place, each in enumerate(EXPERIMENTS)}
        for place, experiment in enumerate(EXPERIMENTS):
            means = np.concatenate(list(drawn[place])).mean(axis=0)
            found |= dict(zip(experiment.names, means.tolist(), strict=True))
    return found


def ratios(measured: Mapping[str, float]) -> dict[str, float]:
    """What is held against the goals."""
    return {name: value for name, value in measured.items() if not name.endswith("_with_reference")}


def show(measured: Mapping[str, float]) -> Table:
    """The measurement as a table."""
    table = Table("what", "draws", "mean", title="The gate on models of known worth")
    for experiment in EXPERIMENTS:
        found = ", ".join(f"{measured[name]:.4g}" for name in experiment.names)
        table.add_row(experiment.title, f"{experiment.draws}", found)
    return table


def _drawn(pool: ProcessPoolExecutor, place: int, experiment: Experiment, share: float) -> Iterator[Scores]:
    draws = max(1, round(experiment.draws * share))
    counts = [min(AT_A_TIME, draws - start) for start in range(0, draws, AT_A_TIME)]
    return pool.map(_draw, [place] * len(counts), counts, range(len(counts)))


def _draw(place: int, count: int, batch: int) -> Scores:
    generator = np.random.default_rng([SEED, place, batch])
    return np.array([EXPERIMENTS[place].draw(generator) for _ in range(count)], dtype=np.float64)


def _classes(positives: int, records: int) -> NDArray[np.intp]:
    return (np.arange(records) < positives).astype(np.intp)


def _models(truth: NDArray[np.intp], areas: Sequence[float], generator: np.random.Generator) -> list[Answers]:
    """Models of these true areas; what the records have in common goes into the scores of all."""
    common = np.sqrt(CORRELATION) * generator.normal(size=len(truth))
    own = [np.sqrt(1 - CORRELATION) * generator.normal(size=len(truth)) for _ in areas]
    scores = zip(own, (_distance(area) for area in areas), strict=True)
    share = float(truth.mean())
    return [_answers(_log_odds(common + each + distance * truth, distance, share)) for each, distance in scores]


def _distance(area: float) -> float:
    """How far the means of the two classes' scores are apart."""
    return float(np.sqrt(2) * norm.ppf(area))


def _log_odds(score: Scores, distance: float, share: float) -> Scores:
    """The log odds of a normal score that is further by a distance for positive records, which a share of all are."""
    odds: Scores = distance * score - distance**2 / 2 + np.log(share / (1 - share))
    return odds


def _answers(log_odds: Scores) -> Answers:
    probability = expit(log_odds)
    return Answers(TWO, np.column_stack([1 - probability, probability]))


def _with_threshold(answers: Answers, area: float, records: int, generator: np.random.Generator) -> Answers:
    """With the threshold that is best on a validation part of so many records, of which as many are positive."""
    distance, share = _distance(area), float(answers.scores[:, 1].mean())
    positive = generator.random(records) < share
    log_odds = _log_odds(generator.normal(size=records) + distance * positive, distance, share)
    threshold = choose_threshold(OBJECTIVE, positive, expit(log_odds))
    return Answers(answers.contract.model_copy(update={"threshold": threshold}), answers.scores)


def _two(
    truth: NDArray[np.intp], model: Answers, champion: Answers | None = None, reference: Answers | None = None
) -> Evidence:
    return Evidence(truth, model, _answers(np.zeros(len(truth))), champion, reference)


def _passes(evidence: Evidence, error_rate: float = GATE.error_rate(1, 1)) -> bool:
    return _is_shown(evidence, error_rate) and not guard(GATE, evidence).reasons


def _is_shown(evidence: Evidence, error_rate: float = GATE.error_rate(1, 1)) -> bool:
    """Whether a model passes by the primary metric: guards refuse nearly all noise, and would hide a bound."""
    contract, truth = evidence.model.contract, evidence.truth
    objections = objections_to_data(GATE, contract, truth, truth, evidence.clusters)
    return not objections and not _weighed(evidence, error_rate).reasons


def _weighed(evidence: Evidence, error_rate: float) -> Weighed:
    return weigh(GATE, evidence, error_rate)


def draw_picture(path: Path) -> None:
    """Draws what passes beside production, and where a walk downhill ends with the reference and without."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    beside, down = figure.subplots(1, 2)
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for records in PICTURE_RECORDS:
            shares = pool.map(partial(_share_passed, records), PICTURE_DIFFERENCES)
            beside.plot(PICTURE_DIFFERENCES, list(shares), marker="o", markersize=3, label=f"{records} test records")
        for with_reference, label in ((False, "production alone"), (True, "the best version, too")):
            series = pool.map(partial(_series, with_reference), range(PICTURE_SERIES))
            down.plot(np.mean(list(series), axis=0), label=f"judged beside {label}")
    beside.set(xlabel="true ROC AUC minus production's (0.80)", ylabel="share promoted", title="One challenger")
    down.set(xlabel="retrainings, each truly 0.005 worse", ylabel="true ROC AUC in production", title="Forty of them")
    for axes in (beside, down):
        axes.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)


def _share_passed(records: int, difference: float) -> float:
    generator = np.random.default_rng([SEED, records, round((1 + difference) * 1000)])
    truth = _classes(records // 2, records)
    areas = [CHAMPION_AREA + difference, CHAMPION_AREA]
    return float(np.mean([_passes(_two(truth, *_models(truth, areas, generator))) for _ in range(PICTURE_DRAWS)]))


def _series(with_reference: bool, number: int) -> list[float]:
    return list(_walk(np.random.default_rng([SEED, number]), with_reference=with_reference))


def main() -> None:
    """Measures and prints, or draws."""
    parser = argparse.ArgumentParser(description="Judges models of known worth by the gate's own code.")
    parser.add_argument("--picture", type=Path, help="draw the picture of the documentation instead, into this file")
    picture = parser.parse_args().picture
    if picture:
        draw_picture(picture)
    else:
        Console().print(show(measure()))


if __name__ == "__main__":
    main()

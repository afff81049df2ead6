"""From a candidate and the three parts of a snapshot of pictures to a fitted, judged and compiled network."""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from modelyard.contract import Contract, Seen, brightness
from modelyard.models.calibration import calibrated, prior_correction
from modelyard.models.cross_validation import INDEPENDENT, Dependence, HeldOut
from modelyard.models.evaluation.metrics import evaluate, truth
from modelyard.models.evaluation.plots import learning_curves, plots
from modelyard.models.evaluation.reliability import with_reliability
from modelyard.models.fit import Fitted, decide, drawn, loaded
from modelyard.models.images.export import compile_network
from modelyard.models.images.fitted_scores import SCORES_FILE, kept_scores
from modelyard.models.images.training import Network, Part, fit_network, network_scores
from modelyard.models.inputs import PixelSource, frame_scores
from modelyard.models.onnx.agreement import compare_scores
from modelyard.models.onnx.compiled import CONTRACT_FILE, EXAMPLE_FILE, MODEL_FILE, Example
from modelyard.models.statistics import numbers_seen
from modelyard.models.tabular.dummy import dummy_scores
from modelyard.pictures import to_base64
from modelyard.use_case import PARTS, Candidate, UseCase

# Enough to tell two models apart, few enough to travel.
EXAMPLE_PICTURES = 3
# Whose brightness is measured at a time.
MEASURED_AT_A_TIME = 64


def fit_pictures(
    use_case: UseCase,
    candidate: Candidate,
    parts: Mapping[str, pd.DataFrame],
    source: PixelSource,
    weights: Path | None = None,
    day: date | None = None,
    dependence: Dependence = INDEPENDENT,
) -> Fitted:
    """Fits a candidate on the training part, calibrates it by the validation part, and judges it on the test part.

    A network is fitted once: neither on folds nor, at the end, on the validation part, too, as that takes long, and the
    validation part says when it learns no more.

    Args:
        use_case: Says the contract and the seed.
        candidate: What to fit.
        parts: The frames of train, validation and test: keys of pictures, and the target.
        source: Has the pictures' pixels.
        weights: A file with weights to start from, for a network that takes some.
        day: Of the run, when the use case draws another bootstrap every day.
        dependence: Which records of the three parts, in this order, depend on each other.

    Raises:
        BadInput: The candidate's network cannot be made.
        StepFailed: A part has no record of some class, or the network cannot be compiled.
    """
    contract = use_case.contract()
    pictures = {part: _part(contract, frame, source) for part, frame in parts.items()}
    learnt_frame = drawn(use_case, candidate, contract, parts["train"], day)
    learnt = _part(contract, learnt_frame, source)
    fitted = fit_network(candidate, contract, learnt, pictures["validation"], use_case.seed, weights)
    scores = {part: network_scores(fitted.model, pictures[part], _classes(contract)) for part in ("validation", "test")}
    clusters = _clusters(parts, dependence)
    held = HeldOut(parts["validation"], pictures["validation"].classes, scores["validation"], 1, clusters["validation"])
    start = prior_correction(contract, parts["train"], learnt_frame)
    contract, held = decide(use_case, _described(contract, pictures["train"]), held, start)
    scores["test"] = calibrated(scores["test"], contract.calibration)
    actual = pictures["test"].classes
    contract = with_reliability(contract, actual, scores["test"], clusters["test"])
    dummy = dummy_scores(contract, parts["train"], parts["test"], use_case.objective)
    files = {
        CONTRACT_FILE: contract.model_dump_json(indent=2).encode(),
        MODEL_FILE: compile_network(fitted.model, contract),
        EXAMPLE_FILE: _example(contract, fitted, pictures["train"]).model_dump_json().encode(),
        SCORES_FILE: kept_scores(parts["test"].index, scores["test"]),
    }
    return Fitted(
        pipeline=fitted.model,
        contract=contract,
        records=len(learnt.keys),
        folds=held.folds,
        files=files,
        agreement=compare_scores(contract, scores["test"], frame_scores(loaded(files), parts["test"], source)),
        validation=evaluate(contract, held.truth, held.scores, use_case.objective, held.clusters) | fitted.metrics,
        test=evaluate(contract, actual, scores["test"], use_case.objective, clusters["test"]),
        baseline=evaluate(contract, actual, dummy, use_case.objective, clusters["test"]),
        test_scores=scores["test"],
        history=fitted.history,
    )


def figures(fitted: Fitted, test: pd.DataFrame) -> dict[str, Figure]:
    """Pictures of how a network was fitted and does on the test part, by name."""
    actual = truth(fitted.contract, test[fitted.contract.target.name].to_numpy())
    shown = dict(plots(fitted.contract, actual, fitted.test_scores))
    return {**shown, "learning_curves": learning_curves(fitted.history)}


def _part(contract: Contract, frame: pd.DataFrame, source: PixelSource) -> Part:
    classes = truth(contract, frame[contract.target.name].to_numpy())
    return Part(source, frame[contract.features[0].name].tolist(), classes)


def _clusters(parts: Mapping[str, pd.DataFrame], dependence: Dependence) -> dict[str, NDArray[np.intp] | None]:
    ends = np.cumsum([0, *(len(parts[part]) for part in PARTS)])
    return {
        part: dependence.on(slice(begin, end)).clusters
        for part, (begin, end) in zip(PARTS, pairwise(ends), strict=True)
    }


def _classes(contract: Contract) -> int:
    return len(contract.target.classes)


def _described(contract: Contract, train: Part) -> Contract:
    """The contract with the brightness of the training part, and an example from it."""
    feature = contract.features[0].name
    example = {feature: to_base64(train.source.pixels(train.keys[:1])[0])}
    return contract.with_seen({feature: _brightness(train)}, example)


def _brightness(part: Part) -> Seen:
    starts = range(0, len(part.keys), MEASURED_AT_A_TIME)
    batches = (part.source.pixels(part.keys[start : start + MEASURED_AT_A_TIME]) for start in starts)
    values = np.array([brightness(pixels) for batch in batches for pixels in batch])
    return numbers_seen(values, len(values))


def _example(contract: Contract, fitted: Network, train: Part) -> Example:
    some = train.of(np.arange(min(EXAMPLE_PICTURES, len(train.keys))))
    records = [{contract.features[0].name: to_base64(pixels)} for pixels in some.source.pixels(some.keys)]
    scores = calibrated(network_scores(fitted.model, some, _classes(contract)), contract.calibration)
    return Example(records=tuple(records), scores=tuple(tuple(row) for row in scores.tolist()))

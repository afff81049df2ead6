"""From a candidate and the three parts of a snapshot to a fitted, calibrated, judged and compiled model."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from modelyard.contract import Calibration, Contract
from modelyard.models.calibration import calibrated, fit_calibration, prior_correction
from modelyard.models.cross_validation import INDEPENDENT, Dependence, HeldOut, Scores, choose_folds, hold_out
from modelyard.models.evaluation.metrics import choose_threshold, evaluate, truth
from modelyard.models.evaluation.plots import importance_plot, plots
from modelyard.models.evaluation.reliability import with_reliability
from modelyard.models.intervals import fit_interval
from modelyard.models.onnx.compiled import CONTRACT_FILE, EXAMPLE_FILE, MODEL_FILE, CompiledModel, Example
from modelyard.models.sampling import bootstrap, undersample
from modelyard.models.statistics import describe, record_of
from modelyard.models.tabular.export import Agreement, compare_scores, compile_pipeline, frame_arrays
from modelyard.models.tabular.pipeline import fitted_scores, make_dummy, make_pipeline, with_calibration
from modelyard.objective import Objective
from modelyard.use_case import Candidate, UseCase

# Enough to tell two models apart, few enough to read.
EXAMPLE_RECORDS = 5


@dataclass(frozen=True)
class Fitted:
    """A fitted model and all that is known of it.

    Attributes:
        pipeline: The fitted scikit-learn pipeline, or Keras model.
        contract: What it takes and gives, with statistics of what it was fitted on, calibration and threshold.
        records: How many records it was fitted on: fewer than there are, if these were sampled.
        folds: By how many models the answers were given that choose among candidates; of 1, to the validation part.
        files: What travels with the model, by name: contract, compiled model, example.
        agreement: How far the compiled model is from the fitted one on the test part.
        validation: Metrics of answers to records of the training and the validation part that were not fitted on.
        test: Metrics on the test part.
        baseline: A dummy's metrics on the test part.
        test_scores: The fitted model's scores on the test part.
        history: What was measured after each epoch, by name, of a model that is fitted in epochs.
    """

    pipeline: Any
    contract: Contract
    records: int
    folds: int
    files: dict[str, bytes]
    agreement: Agreement
    validation: dict[str, float]
    test: dict[str, float]
    baseline: dict[str, float]
    test_scores: NDArray[np.floating[Any]]
    history: dict[str, tuple[float, ...]] = field(default_factory=dict)


def fit(
    use_case: UseCase,
    candidate: Candidate,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    day: date | None = None,
    dependence: Dependence = INDEPENDENT,
) -> Fitted:
    """Fits a candidate on the training and the validation part, and judges it on the test part.

    What it is chosen by, its calibration and its threshold come from answers to records that were not fitted on.

    Args:
        use_case: Says the contract and the seed.
        candidate: What to fit.
        train: Features and target of the training part.
        validation: The same of the validation part.
        test: The same of the test part.
        day: Of the run, when the use case draws another bootstrap every day.
        dependence: Which records of the three parts, in this order, depend on each other.

    Raises:
        BadInput: The candidate's estimator cannot be made.
        StepFailed: A part has no record of some class, or the model cannot be compiled.
    """
    records = pd.concat([train, validation])
    contract = describe(use_case.contract(), records)
    known, of_test = dependence.on(slice(len(records))), dependence.on(slice(len(records), None)).clusters
    folds = choose_folds(contract, train, validation, use_case.seed, known)
    fitting = Fitting(use_case, candidate, contract, day)
    held = hold_out(contract, records, folds, fitting.answer, known.clusters)
    learnt = fitting.drawn(records)
    contract, held = decide(use_case, contract, held, prior_correction(contract, records, learnt))
    pipeline = with_calibration(fitting.fit(learnt), contract.calibration, contract.target.classes)
    scores = fitted_scores(pipeline, contract, test)
    contract = with_reliability(contract, truth(contract, test[contract.target.name].to_numpy()), scores, of_test)
    files = {
        CONTRACT_FILE: contract.model_dump_json(indent=2).encode(),
        MODEL_FILE: compile_pipeline(pipeline, contract),
        EXAMPLE_FILE: _example(contract, pipeline, records).model_dump_json().encode(),
    }
    return Fitted(
        pipeline=pipeline,
        contract=contract,
        records=len(learnt),
        folds=held.folds,
        files=files,
        agreement=compare_scores(contract, scores, compiled_scores(files, test)),
        validation=evaluate(contract, held.truth, held.scores, use_case.objective, held.clusters),
        test=_evaluate(use_case, contract, test, scores, of_test),
        baseline=_evaluate(use_case, contract, test, dummy_scores(contract, train, test, use_case.objective), of_test),
        test_scores=scores,
    )


class Fitting(NamedTuple):
    """How a candidate is fitted on whatever records.

    Attributes:
        use_case: Says the seed.
        candidate: What to fit.
        contract: The inputs.
        day: Of the run, when the use case draws another bootstrap every day.
    """

    use_case: UseCase
    candidate: Candidate
    contract: Contract
    day: date | None

    def drawn(self, records: pd.DataFrame) -> pd.DataFrame:
        """Those of some records that it is fitted on."""
        return drawn(self.use_case, self.candidate, self.contract, records, self.day)

    def fit(self, learnt: pd.DataFrame) -> Pipeline:
        """The pipeline, fitted on these records."""
        pipeline = make_pipeline(self.candidate, self.contract, self.use_case.seed)
        return pipeline.fit(learnt[self.contract.names], learnt[self.contract.target.name])

    def answer(self, records: pd.DataFrame, asked: pd.DataFrame) -> Scores:
        """What it says of records after it was fitted on others."""
        return fitted_scores(self.fit(self.drawn(records)), self.contract, asked)


def decide(use_case: UseCase, contract: Contract, held: HeldOut, start: Calibration | None) -> tuple[Contract, HeldOut]:
    """The contract with what held-out answers decide, and these answers as a model with that contract gives them.

    Args:
        use_case: Says whether there are intervals, and the seed.
        contract: Of the model.
        held: Held-out answers, as the model gives them by itself.
        start: What must be done to probabilities anyway.
    """
    if not contract.kind.is_classification:
        return _with_interval(use_case, contract, held), held
    calibration = fit_calibration(held, start, use_case.seed)
    held = held._replace(scores=calibrated(held.scores, calibration))
    contract = contract.model_copy(update={"calibration": calibration})
    if len(contract.target.classes) == 2:
        threshold = choose_threshold(use_case.objective, held.truth == 1, held.scores[:, 1])
        contract = contract.model_copy(update={"threshold": threshold})
    return contract, held


def _with_interval(use_case: UseCase, contract: Contract, held: HeldOut) -> Contract:
    if use_case.intervals is None:
        return contract
    interval = fit_interval(contract, held, use_case.intervals, use_case.seed)
    return contract.model_copy(update={"interval": interval})


def drawn(
    use_case: UseCase, candidate: Candidate, contract: Contract, records: pd.DataFrame, day: date | None
) -> pd.DataFrame:
    """Those of some records that a candidate is fitted on."""
    if day is not None:
        records = bootstrap(records, use_case.seed, day)
    if candidate.positive_share is not None:
        records = undersample(records, contract, candidate.positive_share, use_case.seed)
    return records


def dummy_scores(
    contract: Contract, train: pd.DataFrame, test: pd.DataFrame, objective: Objective
) -> NDArray[np.floating[Any]]:
    """What a model that looks at no feature says of the test part."""
    dummy = make_dummy(objective)
    dummy.fit(train[contract.names], train[contract.target.name])
    return fitted_scores(dummy, contract, test)


def compiled_scores(files: dict[str, bytes], test: pd.DataFrame) -> NDArray[np.floating[Any]]:
    """What the compiled model, read from its files as the API reads them, says of the test part."""
    model = loaded(files)
    return model.scores(frame_arrays(model.contract, test))


def loaded(files: dict[str, bytes]) -> CompiledModel:
    """A compiled model, read from its files as the API reads them."""
    with TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return CompiledModel.load(Path(folder))


def pictures(fitted: Fitted, test: pd.DataFrame, seed: int) -> dict[str, Figure]:
    """Pictures of how a model does on the test part, by name."""
    actual = truth(fitted.contract, test[fitted.contract.target.name].to_numpy())
    shown = dict(plots(fitted.contract, actual, fitted.test_scores))
    return {**shown, "feature_importance": importance_plot(fitted.contract, fitted.pipeline, test, seed)}


def _evaluate(
    use_case: UseCase,
    contract: Contract,
    part: pd.DataFrame,
    scores: NDArray[np.floating[Any]],
    clusters: NDArray[np.intp] | None,
) -> dict[str, float]:
    known = truth(contract, part[contract.target.name].to_numpy())
    return evaluate(contract, known, scores, use_case.objective, clusters)


def _example(contract: Contract, pipeline: Pipeline, records: pd.DataFrame) -> Example:
    rows = records.iloc[:EXAMPLE_RECORDS]
    return Example(
        records=tuple(dict(record_of(contract, rows, position)) for position in range(len(rows))),
        scores=tuple(tuple(row) for row in fitted_scores(pipeline, contract, rows).tolist()),
    )

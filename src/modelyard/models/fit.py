"""From a candidate and the three parts of a snapshot to a fitted, judged and compiled model."""

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from modelyard.contract import Contract
from modelyard.models.compile import Agreement, compare_scores, compile_pipeline, fitted_scores, frame_arrays
from modelyard.models.compiled import CONTRACT_FILE, EXAMPLE_FILE, MODEL_FILE, CompiledModel, Example
from modelyard.models.metrics import best_f1_threshold, evaluate, primary_metric, truth
from modelyard.models.plots import importance_plot, plots
from modelyard.models.sampling import bootstrap, undersample
from modelyard.models.seen import describe, record_of
from modelyard.models.tabular import make_dummy, make_pipeline
from modelyard.usecase import Candidate, UseCase

# Enough to tell two models apart, few enough to read.
EXAMPLE_RECORDS = 5


@dataclass(frozen=True)
class Fitted:
    """A fitted model and all that is known of it.

    Attributes:
        pipeline: The fitted scikit-learn pipeline, or Keras model.
        contract: What it takes and gives, with the training part's statistics and the threshold.
        records: How many records it was fitted on: fewer than the training part has, if these were sampled.
        files: What travels with the model, by name: contract, compiled model, example.
        agreement: How far the compiled model is from the fitted one on the test part.
        validation: Metrics on the validation part.
        test: Metrics on the test part.
        baseline: A dummy's metrics on the test part.
        test_scores: The fitted model's scores on the test part.
        history: What was measured after each epoch, by name, of a model that is fitted in epochs.
    """

    pipeline: Any
    contract: Contract
    records: int
    files: dict[str, bytes]
    agreement: Agreement
    validation: dict[str, float]
    test: dict[str, float]
    baseline: dict[str, float]
    test_scores: NDArray[np.floating[Any]]
    history: dict[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def primary_metric(self) -> str:
        """The name of the metric that models of this kind are compared by."""
        return primary_metric(self.contract)


def fit(
    use_case: UseCase,
    candidate: Candidate,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    day: date | None = None,
) -> Fitted:
    """Fits a candidate on the training part, sets its threshold on the validation part, judges it on the test part.

    Args:
        use_case: Says the contract and the seed.
        candidate: What to fit.
        train: Features and target of the training part.
        validation: The same of the validation part.
        test: The same of the test part.
        day: Of the run, when the use case draws another bootstrap every day.

    Raises:
        BadInput: The candidate's estimator cannot be made.
        StepFailed: A part has no record of some class, or the model cannot be compiled.
    """
    contract = describe(use_case.contract(), train)
    pipeline = make_pipeline(candidate, contract, use_case.seed)
    learnt = drawn(use_case, candidate, contract, train, day)
    pipeline.fit(learnt[contract.names], learnt[contract.target.name])
    contract = _with_threshold(contract, pipeline, validation)
    scores = fitted_scores(pipeline, contract, test)
    files = {
        CONTRACT_FILE: contract.model_dump_json(indent=2).encode(),
        MODEL_FILE: compile_pipeline(pipeline, contract),
        EXAMPLE_FILE: _example(contract, pipeline, train).model_dump_json().encode(),
    }
    return Fitted(
        pipeline=pipeline,
        contract=contract,
        records=len(learnt),
        files=files,
        agreement=compare_scores(contract, scores, compiled_scores(files, test)),
        validation=_evaluate(contract, validation, fitted_scores(pipeline, contract, validation)),
        test=_evaluate(contract, test, scores),
        baseline=_evaluate(contract, test, dummy_scores(contract, train, test)),
        test_scores=scores,
    )


def drawn(
    use_case: UseCase, candidate: Candidate, contract: Contract, train: pd.DataFrame, day: date | None
) -> pd.DataFrame:
    """Those records of the training part that a candidate is fitted on."""
    if day is not None:
        train = bootstrap(train, use_case.seed, day)
    if candidate.positive_share is not None:
        train = undersample(train, contract, candidate.positive_share, use_case.seed)
    return train


def dummy_scores(contract: Contract, train: pd.DataFrame, test: pd.DataFrame) -> NDArray[np.floating[Any]]:
    """What a model that looks at no feature says of the test part."""
    dummy = make_dummy(contract.kind)
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


def _evaluate(contract: Contract, part: pd.DataFrame, scores: NDArray[np.floating[Any]]) -> dict[str, float]:
    return evaluate(contract, truth(contract, part[contract.target.name].to_numpy()), scores)


def _with_threshold(contract: Contract, pipeline: Pipeline, validation: pd.DataFrame) -> Contract:
    if len(contract.target.classes) != 2:
        return contract
    positive = truth(contract, validation[contract.target.name].to_numpy()) == 1
    probability = fitted_scores(pipeline, contract, validation)[:, 1]
    return contract.model_copy(update={"threshold": best_f1_threshold(positive, probability)})


def _example(contract: Contract, pipeline: Pipeline, train: pd.DataFrame) -> Example:
    rows = train.iloc[:EXAMPLE_RECORDS]
    return Example(
        records=tuple(dict(record_of(contract, rows, position)) for position in range(len(rows))),
        scores=tuple(tuple(row) for row in fitted_scores(pipeline, contract, rows).tolist()),
    )

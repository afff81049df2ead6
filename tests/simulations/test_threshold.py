"""How much the threshold of a model depends on the records that happened to be drawn."""

import numpy as np
import pandas as pd

from modelyard.contract import TaskKind
from modelyard.models.cross_validation import choose_folds, hold_out
from modelyard.models.evaluation.metrics import choose_threshold
from modelyard.models.fit import Fitting, decide
from modelyard.use_case import Candidate
from tests.unit.made_up import LINEAR, records, use_case


def test_the_threshold_differs_little_from_one_training_to_the_next() -> None:
    """Beside one from the validation part alone, which was the rule before."""
    case, test, candidate = use_case(TaskKind.BINARY), records(TaskKind.BINARY, 1000, 1000), LINEAR[TaskKind.BINARY]
    fitting = Fitting(case, Candidate(name="linear", estimator=candidate, scale=True), case.contract(), None)
    shares, before = [], []
    for seed in range(20):
        train, validation = records(TaskKind.BINARY, 300, seed), records(TaskKind.BINARY, 40, seed + 100)
        parts = pd.concat([train, validation])
        folds = choose_folds(fitting.contract, train, validation, case.seed)
        contract, _ = decide(case, fitting.contract, hold_out(fitting.contract, parts, folds, fitting.answer), None)
        scores = fitting.answer(parts, test)[:, 1]
        shares.append(np.mean(scores >= contract.threshold))
        positive = (validation["answer"] == "approved").to_numpy()
        threshold = choose_threshold(case.objective, positive, fitting.answer(train, validation)[:, 1])
        before.append(np.mean(scores >= threshold))
    assert np.std(shares) < 0.6 * np.std(before)

"""Many requests, one call of the model, and each its own answer; without a process."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest
from services.api.inputs.base import Question

from modelyard.contract import Answer, Arrays, Contract
from modelyard.models.onnx.compiled import CompiledModel, Scores
from services.api.errors import InferenceError
from services.api.models.served import ServedVersion
from tests.services.made_models import LOAN_RECORD, loan_contract, write_package


class CountedModel:
    """Stands where a compiled model stands, and counts how often it is asked."""

    def __init__(self, model: CompiledModel) -> None:
        self.contract: Contract = model.contract
        self.sizes: list[int] = []
        self.failure: Exception | None = None
        self._model = model

    def scores(self, arrays: Arrays) -> Scores:
        self.sizes.append(len(arrays["age"]))
        if self.failure:
            raise self.failure
        return self._model.scores(arrays)


@pytest.fixture
def counted(tmp_path: Path) -> CountedModel:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD])
    return CountedModel(CompiledModel.load(tmp_path))


def ask(model: CountedModel, *turns: list[dict[str, Any]]) -> list[Answer | InferenceError]:
    """The answers to records that are asked in turns."""

    async def asking() -> list[Answer | InferenceError]:
        served = ServedVersion(1, cast(CompiledModel, model))
        answers: list[Answer | InferenceError] = []
        for records in turns:
            for record in records:
                served.ask(Question(record), answers.append)
            await asyncio.sleep(0)
        return answers

    return asyncio.run(asking())


def test_requests_of_one_turn_of_the_loop_are_one_call_of_the_model(counted: CountedModel) -> None:
    records = [LOAN_RECORD | {"annual_income": income} for income in (1e3, 5e4, 9e4)]
    answers = ask(counted, records, [LOAN_RECORD])
    assert counted.sizes == [3, 1]
    assert len({answer.probability for answer in answers if isinstance(answer, Answer)}) == 4


def test_a_model_that_breaks_is_told_to_each_and_every_one(counted: CountedModel) -> None:
    counted.failure = RuntimeError("no memory")
    for answer in ask(counted, [LOAN_RECORD] * 3):
        assert isinstance(answer, InferenceError)
        assert "no memory" in str(answer)


def test_a_score_that_is_no_number_is_no_answer(tmp_path: Path) -> None:
    write_package(tmp_path, loan_contract(), [LOAN_RECORD], bias=float("nan"))
    [answer] = ask(CountedModel(CompiledModel.load(tmp_path)), [LOAN_RECORD])
    assert isinstance(answer, InferenceError)
    assert "version 1 of loan_approval has no answer to this record" in str(answer)

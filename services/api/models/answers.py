"""What a model says, in the two forms that it is needed in: the row that is kept and the answer that is sent."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from uuid_utils import uuid7

from modelyard.contract import Answer
from services.api.inputs.base import Question
from services.api.log.rows import PRODUCTION, Row
from services.api.models.served import ServedVersion


def make_row(
    served: ServedVersion, question: Question, answer: Answer, latency_ms: float, role: str = PRODUCTION
) -> Row:
    """What is kept of an answer."""
    return Row(
        request_id=str(uuid7()),
        use_case=served.contract.use_case,
        model_version=served.version,
        role=role,
        record_key=question.key,
        features=to_json(question.record).decode(),
        prediction=to_json(answer.prediction).decode(),
        probabilities=to_json(answer.probabilities).decode() if answer.probabilities else None,
        latency_ms=latency_ms,
        created_at=datetime.now(UTC),
        lower=answer.lower,
        upper=answer.upper,
    )


def make_all(
    served: ServedVersion, questions: Sequence[Question], answers: Sequence[Answer], latency_ms: float
) -> tuple[list[Row], list[dict[str, Any]]]:
    """Rows and contents of many answers; what they have in common is worked out once."""
    use_case, version, warnings = served.contract.use_case, served.version, served.reader.warnings
    has_classes, has_intervals = len(served.contract.target.classes) > 2, served.contract.interval is not None
    now = datetime.now(UTC)
    rows: list[Row] = []
    contents: list[dict[str, Any]] = []
    for question, (prediction, probability, probabilities, lower, upper) in zip(questions, answers, strict=True):
        request_id = str(uuid7())
        features = to_json(question.record).decode()
        said = to_json(prediction).decode()
        shares = to_json(probabilities).decode() if probabilities else None
        row = (request_id, use_case, version, PRODUCTION, question.key, features, said, shares, latency_ms, now)
        rows.append(Row(*row, lower, upper))
        content: dict[str, Any] = {
            "prediction": prediction,
            "probability": probability,
            "model_version": version,
            "request_id": request_id,
            "warnings": warnings(question),
        }
        if has_classes:
            content["probabilities"] = probabilities
        if has_intervals:
            content |= {"lower": lower, "upper": upper}
        contents.append(content)
    return rows, contents


def answer_content(served: ServedVersion, request_id: str, question: Question, answer: Answer) -> dict[str, Any]:
    """What is answered."""
    content: dict[str, Any] = {
        "prediction": answer.prediction,
        "probability": answer.probability,
        "model_version": served.version,
        "request_id": request_id,
        "warnings": served.reader.warnings(question),
    }
    if len(served.contract.target.classes) > 2:
        content["probabilities"] = answer.probabilities
    if served.contract.interval:
        content |= {"lower": answer.lower, "upper": answer.upper}
    return content

"""What a model says, in the two forms that it is needed in: the row that is kept and the answer that is sent."""

from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from uuid_utils import uuid7

from modelyard.contract import Answer
from services.api.questions import Question
from services.api.rows import PRODUCTION, Row
from services.api.serving import ServedVersion


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
    )


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
    return content

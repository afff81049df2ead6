"""`POST /predict`: reads the record, has it answered, keeps the answer, and only then sends it."""

import time
from datetime import UTC, datetime
from typing import Any

from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from uuid_utils import uuid7

from modelyard.contract import Answer, Contract, TaskKind, Value
from services.api.errors import BodyTooLarge
from services.api.prediction_log import Row
from services.api.questions import JSON, Question
from services.api.service import Service
from services.api.serving import ServedVersion


async def predict(request: Request) -> Response:
    """Answers one record. The version that takes the request also finishes it, whatever is swapped in meanwhile."""
    started = time.perf_counter()
    service: Service = request.app.state.service
    served = service.models.serving(request.path_params.get("use_case", service.models.default_use_case))
    body = await _body(request, service.settings.api_body_limit_bytes)
    question = served.reader.read(body, request.headers.get("content-type", ""))
    answer = await served.answer(question)
    row = _row(served, question, answer, started)
    await service.log.keep(row)
    return Response(to_json(_answer(served.contract, row, question.record, answer)), media_type=JSON)


async def _body(request: Request, limit: int) -> bytes:
    if int(request.headers.get("content-length", 0)) > limit:
        raise BodyTooLarge(f"the body may have {limit} bytes, not {request.headers['content-length']}")
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, not more")
        chunks.append(chunk)
    return b"".join(chunks)


def _row(served: ServedVersion, question: Question, answer: Answer, started: float) -> Row:
    return Row(
        request_id=str(uuid7()),
        use_case=served.contract.use_case,
        model_version=served.version,
        record_key=question.key,
        features=to_json(question.record).decode(),
        prediction=to_json(answer.prediction).decode(),
        probabilities=to_json(answer.probabilities).decode() if answer.probabilities else None,
        latency_ms=(time.perf_counter() - started) * 1000,
        created_at=datetime.now(UTC),
    )


def _answer(contract: Contract, row: Row, record: dict[str, Value], answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {
        "prediction": answer.prediction,
        "probability": answer.probability,
        "model_version": row.model_version,
        "request_id": row.request_id,
        "warnings": contract.warnings(record),
    }
    if contract.kind is not TaskKind.BINARY and answer.probabilities:
        content["probabilities"] = answer.probabilities
    return content

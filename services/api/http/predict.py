"""`POST /predict`: reads what is asked, has it answered, keeps the answers, and only then sends them.

An ASGI application of its own: these requests are many, and what a framework does for each would take as long as all
that is done here.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import to_json
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from modelyard.contract import Answer
from services.api import metrics
from services.api.errors import (
    InferenceError,
    RequestError,
    RequestTimeout,
    answer_to,
    unexpected,
)
from services.api.http.request import Incoming, new_request_id
from services.api.inputs.base import JSON, Question
from services.api.limits.bodies import ClientLeft
from services.api.log.idempotency import IdempotentRequest
from services.api.log.prediction_log import settle
from services.api.log.rows import LogEntry, Row
from services.api.models.answers import answer_content, make_all, make_row
from services.api.models.served import ServedVersion
from services.api.service import Service

LOGGER = logging.getLogger(__name__)

CONTENT_TYPE = (b"content-type", JSON.encode())
# Records of a batch that are answered before others have their turn.
ANSWERED_AT_ONCE = 500
# A network's inner arrays take some hundred times the room of the picture.
FILES_ANSWERED_AT_ONCE = 8


class Answered(NamedTuple):
    """The body of an answer, whether it is kept (it is not if its key was another request's), and its rows' ids."""

    body: bytes
    is_kept: bool
    request_ids: Sequence[str]


async def predict(service: Service, caller: str, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request for predictions, whatever comes of it.

    Args:
        service: Answers it.
        caller: Who asks, as far as callers are told apart.
        scope: As ASGI has it, and so are the others.
        receive: Gives its body.
        send: Takes its answer.
    """
    incoming = Incoming(scope, caller)
    try:
        async with asyncio.timeout(service.settings.api_request_seconds):
            body = await _answer(service, incoming, receive)
    except RequestError as error:
        await _refusal(service, incoming, error)(scope, receive, send)
    except TimeoutError:
        late = RequestTimeout("the request was not answered in time (API_REQUEST_SECONDS)")
        await _refusal(service, incoming, late)(scope, receive, send)
    except ClientLeft:
        _note(incoming, "client_disconnected")
    except Exception as caught:
        # The request's outermost edge.
        LOGGER.exception("a prediction failed")
        await _refusal(service, incoming, caught)(scope, receive, send)
    else:
        await _send(body, send)
        _note(incoming, metrics.ANSWERED)
        if incoming.is_batch:
            metrics.note_records(incoming.use_case, incoming.version, incoming.records)
        if service.settings.api_log_requests:
            LOGGER.info("answered", extra=_facts(incoming, 200))
    finally:
        incoming.let_go()


async def _answer(service: Service, incoming: Incoming, receive: Receive) -> bytes:
    served = service.models.serving(incoming.use_case or service.models.default_use_case)
    incoming.use_case, incoming.version = served.contract.use_case, str(served.version)
    incoming.check_is_ours()
    settings = service.settings
    if incoming.is_batch:
        body = await incoming.body(receive, settings.api_batch_body_limit_bytes, service.bodies)
    else:
        body = await incoming.body(receive, settings.body_limit(files=served.reader.takes_files), service.bodies)
    key = incoming.idempotency_key
    work = _batch if incoming.is_batch else _single
    if key is None:
        return (await work(service, served, incoming, body, None)).body
    kind = "batch" if incoming.is_batch else "single"
    asked = await IdempotentRequest.of(incoming.caller, served.contract.use_case, key, kind, body)
    return await service.repeats.get_or_compute(asked, lambda: work(service, served, incoming, body, asked))


async def _single(
    service: Service, served: ServedVersion, incoming: Incoming, body: bytes, asked: IdempotentRequest | None
) -> Answered:
    """Answers one record. The version that takes the request also finishes it, whatever is swapped in meanwhile."""
    question = await served.read(body, incoming.content_type)
    future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()

    def tell(answer: Answer | InferenceError) -> None:
        try:
            row, content = _said(served, question, answer, incoming.seconds)
        except Exception as error:  # noqa: BLE001 - told to the request, which logs it
            # The callback's outermost edge: no request may wait for ever.
            settle(future, error)
            return
        sent = to_json(content)
        claim = asked.claim(row.request_id, sent) if asked else None
        service.log.add(LogEntry((row,), claim), lambda outcome: settle(future, _answered(sent, row, outcome)))

    served.ask(question, tell)
    answered = await future
    if answered.is_kept:
        service.shadows.add(served, (question,), answered.request_ids)
    return answered


def _said(
    served: ServedVersion, question: Question, answer: Answer | InferenceError, seconds: float
) -> tuple[Row, dict[str, Any]]:
    if isinstance(answer, InferenceError):
        raise answer
    row = make_row(served, question, answer, seconds * 1000)
    return row, answer_content(served, row.request_id, question, answer)


def _answered(body: bytes, row: Row, outcome: bool | Exception) -> Answered | Exception:
    return outcome if isinstance(outcome, Exception) else Answered(body, outcome, (row.request_id,))


async def _batch(
    service: Service, served: ServedVersion, incoming: Incoming, body: bytes, asked: IdempotentRequest | None
) -> Answered:
    """Answers many records, all of them or none."""
    async with service.batches:
        questions = await served.read_all(body, incoming.content_type, service.settings.api_batch_limit)
        rows, sent = await _answer_all(served, questions, incoming)
        claim = asked.claim(rows[0].request_id, sent) if asked else None
        incoming.records = len(rows)
        answered = Answered(sent, await service.log.keep(LogEntry(rows, claim)), [row.request_id for row in rows])
        if answered.is_kept:
            service.shadows.add(served, questions, answered.request_ids)
        return answered


async def _answer_all(served: ServedVersion, questions: list[Question], incoming: Incoming) -> tuple[list[Row], bytes]:
    """The rows and the body, made part by part: what is only needed on the way to them is never there of all."""
    rows: list[Row] = []
    parts: list[bytes] = []
    at_once = FILES_ANSWERED_AT_ONCE if served.reader.takes_files else ANSWERED_AT_ONCE
    for start in range(0, len(questions), at_once):
        part = questions[start : start + at_once]
        more_rows, contents = make_all(served, part, await served.ask_all(part), incoming.seconds * 1000)
        rows += more_rows
        parts.append(to_json(contents)[1:-1])
    return rows, b'{"predictions":[%b]}' % b",".join(parts)


async def _send(body: bytes, send: Send) -> None:
    headers = [CONTENT_TYPE, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _refusal(service: Service, incoming: Incoming, error: Exception) -> Response:
    """Counts and logs a request that gets no answer; what is returned tells the client why."""
    request_id = new_request_id()
    if isinstance(error, RequestError):
        response, outcome = answer_to(error), error.outcome
    else:
        response, outcome = unexpected(), "failed"
    response.headers["X-Request-ID"] = request_id
    _note(incoming, outcome)
    facts = _facts(incoming, response.status_code) | {"request_id": request_id, "outcome": outcome}
    if response.status_code >= 500:
        LOGGER.warning("%s is not answered: %s", incoming.path, error, extra=facts)
    elif service.settings.api_log_rejected:
        LOGGER.info("%s is rejected: %s", incoming.path, error, extra=facts)
    return response


def _note(incoming: Incoming, outcome: str) -> None:
    # A name that no use case has would be a series of its own for each mistake.
    use_case = incoming.use_case if incoming.version else ""
    metrics.note_request(use_case, incoming.version, outcome, incoming.seconds)


def _facts(incoming: Incoming, status: int) -> dict[str, Any]:
    return {
        "use_case": incoming.use_case,
        "model_version": incoming.version,
        "status": status,
        "milliseconds": round(incoming.seconds * 1000, 3),
        "trace_id": incoming.trace_id,
    }

"""`POST /predict`: reads the record, has it answered, keeps the answer, and only then sends it.

An ASGI application of its own: these requests are many, and what a framework does for each would take as long as all
that is done here.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.types import Receive, Scope, Send
from uuid_utils import uuid7

from modelyard.contract import Answer
from services.api.errors import BodyTooLarge, FromAnotherSite, NoAnswer, RequestError, TooSlow, answer_to, unexpected
from services.api.idempotency import Asked
from services.api.questions import JSON, Question, is_json
from services.api.rows import PRODUCTION, Kept, Row
from services.api.service import Service
from services.api.serving import ServedVersion

LOGGER = logging.getLogger(__name__)

PATH = "/predict"
CONTENT_TYPE = (b"content-type", JSON.encode())

Headers = Mapping[bytes, bytes]


class ClientLeft(Exception):
    """The client has closed its connection before it had sent the whole body."""


async def predict(service: Service, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers one request for a prediction, whatever comes of it."""
    try:
        async with asyncio.timeout(service.settings.api_request_seconds):
            body = await _answered(service, scope, receive)
    except RequestError as error:
        await answer_to(error)(scope, receive, send)
    except TimeoutError:
        await answer_to(TooSlow("the request was not answered in time"))(scope, receive, send)
    except ClientLeft:
        return
    except Exception:
        # The request's outermost edge.
        LOGGER.exception("a prediction failed")
        await unexpected()(scope, receive, send)
    else:
        headers = [CONTENT_TYPE, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _answered(service: Service, scope: Scope, receive: Receive) -> bytes:
    started = time.perf_counter()
    use_case = scope["path"][len(PATH) :].strip("/")
    served = service.models.serving(use_case or service.models.default_use_case)
    headers: Headers = dict(scope["headers"])
    content_type = headers.get(b"content-type", b"").decode("latin-1")
    _check_is_ours(headers, content_type)
    body = await read_body(receive, headers, service.settings.body_limit(files=served.reader.takes_files))
    question = await served.read(body, content_type)
    key = headers.get(b"idempotency-key")
    if key is None:
        return (await _kept(service, Single(served, question, started)))[0]
    asked = Asked.of(served.contract.use_case, key.decode("latin-1"), PATH, body)
    return await service.repeats.once(asked, lambda: _kept(service, Single(served, question, started, asked)))


def _check_is_ours(headers: Headers, content_type: str) -> None:
    """Refuses what a page of another site sends: of a form, the browser does not ask first whether it may.

    Raises:
        FromAnotherSite: It comes from such a page.
    """
    origin = headers.get(b"origin")
    if origin is None or is_json(content_type):
        return
    if urlsplit(origin).netloc != headers.get(b"host"):
        raise FromAnotherSite(f"a page of {origin.decode('latin-1')} cannot send forms to this service")


async def read_body(receive: Receive, headers: Headers, limit: int) -> bytes:
    """The whole body of a request.

    Raises:
        BodyTooLarge: It is longer than the limit.
        ClientLeft: It never came.
    """
    announced = headers.get(b"content-length", b"0")
    if announced.isdigit() and int(announced) > limit:
        raise BodyTooLarge(f"the body may have {limit} bytes, not {announced.decode()}")
    message = await receive()
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"the body may have {limit} bytes, not more")
        if not chunks and not message.get("more_body"):
            return bytes(chunk)
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)
        message = await receive()


@dataclass(frozen=True, slots=True)
class Single:
    """One question on its way: the version that takes it also finishes it, whatever is swapped in meanwhile.

    Attributes:
        served: Who answers.
        question: What is asked.
        started: When it came, by the performance counter.
        asked: The client's key, if it sent one.
    """

    served: ServedVersion
    question: Question
    started: float
    asked: Asked | None = None


async def _kept(service: Service, single: Single) -> tuple[bytes, bool]:
    """The answer's body, and whether it is kept; it is not if its key was another request's."""
    future: asyncio.Future[tuple[bytes, bool]] = asyncio.get_running_loop().create_future()

    def tell(answer: Answer | NoAnswer) -> None:
        try:
            _keep(service, single, answer, future)
        except Exception as error:  # noqa: BLE001 - told to the request, which logs it
            # The callback's outermost edge: no request may wait for ever.
            _fail(future, error)

    single.served.ask(single.question, tell)
    return await future


def _keep(
    service: Service, single: Single, answer: Answer | NoAnswer, future: "asyncio.Future[tuple[bytes, bool]]"
) -> None:
    if isinstance(answer, NoAnswer):
        _fail(future, answer)
        return
    row = make_row(single.served, single.question, answer, (time.perf_counter() - single.started) * 1000)
    body = to_json(answer_content(single.served, row.request_id, single.question, answer))
    claim = single.asked.claim(row.request_id, body) if single.asked else None

    def settle(outcome: bool | Exception) -> None:
        if isinstance(outcome, Exception):
            _fail(future, outcome)
        elif not future.done():
            future.set_result((body, outcome))

    service.log.add(Kept((row,), claim), settle)


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    # A client that left has cancelled its request.
    if not future.done():
        future.set_exception(error)


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

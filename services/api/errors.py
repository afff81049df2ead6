"""What a request can run into. Each error carries its status; one place turns them all into `{"detail": …}`.

`detail` is a sentence; of a request that cannot be used (422) it is a list of problems, in the form of FastAPI's.
"""

import logging
from collections.abc import Sequence
from typing import TypedDict, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from modelyard.errors import ModelyardError
from modelyard.hosts import STATUS

LOGGER = logging.getLogger(__name__)


class Problem(TypedDict):
    """One thing that is wrong with a request, as FastAPI writes it.

    Attributes:
        type: What is wrong, for programs: pydantic's name for it.
        loc: Where: "body", and the field's name when it is a field's.
        msg: What is wrong, for people: a sentence that names the field.
    """

    type: str
    loc: list[str]
    msg: str


class RequestError(ModelyardError):
    """The request cannot be answered.

    Attributes:
        status: The answer's.
        outcome: The same in a word, for counting.
        retry_after_seconds: When it may be tried again.
        detail: What the body of the answer says.
    """

    status = 500
    outcome = "failed"
    retry_after_seconds: int | None = None

    @property
    def detail(self) -> str | list[Problem]:
        """What the body of the answer says."""
        return str(self)


class UseCaseNotFound(RequestError):
    """There is no use case of that name."""

    status = 404
    outcome = "not_found"


class Unauthorized(RequestError):
    """The request names no key that is allowed."""

    status = 401
    outcome = "unauthorized"


class IdempotencyConflict(RequestError):
    """The Idempotency-Key stands for another request."""

    status = 409
    outcome = "idempotency_conflict"


class BodyTooLarge(RequestError):
    """The body is too large."""

    status = 413
    outcome = "too_large"


class UnsupportedImage(RequestError):
    """The file is no picture of a kind that is read."""

    status = 415
    outcome = "invalid"


class CrossSiteRequest(RequestError):
    """A page of another site had a browser send this."""

    status = 403
    outcome = "forbidden"


class ForeignHost(RequestError):
    """The request is meant for a host of another name."""

    status = STATUS.value
    outcome = "foreign_host"


class InvalidRequest(RequestError):
    """The body is not a record that the model takes."""

    status = 422
    outcome = "invalid"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem["msg"] for problem in problems))
        self.problems = list(problems)

    @property
    def detail(self) -> list[Problem]:
        """The problems, one by one."""
        return self.problems


class NoModel(RequestError):
    """No model answers for this use case."""

    status = 503
    outcome = "no_model"
    retry_after_seconds = 5


class PredictionNotLogged(RequestError):
    """The prediction could not be kept, so it is not answered."""

    status = 503
    outcome = "log_failed"
    retry_after_seconds = 2


class NotReady(RequestError):
    """The service cannot answer predictions."""

    status = 503
    outcome = "not_ready"
    retry_after_seconds = 5


class Overloaded(RequestError):
    """Too many requests are under way."""

    status = 503
    outcome = "overloaded"
    retry_after_seconds = 1


class RequestTimeout(RequestError):
    """The request took too long."""

    status = 503
    outcome = "timeout"
    retry_after_seconds = 1


class BodyTimeout(RequestError):
    """The body comes too slowly to be waited for."""

    status = 408
    outcome = "timeout"


class InferenceError(RequestError):
    """The model has no answer to this record."""

    status = 500
    outcome = "model_error"


def answer_errors_in_one_form(app: FastAPI) -> None:
    """Makes every error of an application a JSON body with `detail`."""
    app.add_exception_handler(RequestError, _answer_request_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(ClientDisconnect, _answer_nobody)
    app.add_exception_handler(Exception, _answer_unexpected)


def answer_to(error: RequestError) -> JSONResponse:
    """The answer that says an error."""
    wait = error.retry_after_seconds
    headers = {} if wait is None else {"Retry-After": str(wait)}
    if error.status == Unauthorized.status:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == BodyTimeout.status:
        headers["Connection"] = "close"
    return _answer(error.status, error.detail, headers)


def unexpected() -> JSONResponse:
    """The answer when nobody foresaw the error. The log has the traceback; it says nothing to a client."""
    return _answer(500, "the service ran into an error of its own; its log says which", {})


async def _answer_request_error(_: Request, caught: Exception) -> JSONResponse:
    return answer_to(cast(RequestError, caught))


async def _answer_http_error(request: Request, caught: Exception) -> JSONResponse:
    error = cast(HTTPException, caught)
    # Not from the URL, which a client's odd host name would spoil.
    path = request.scope["path"]
    sentences = {
        404: f"there is nothing at {path}; /docs lists what there is",
        405: f"{path} cannot be asked with {request.method}; /docs says how it can",
    }
    return _answer(error.status_code, sentences.get(error.status_code, error.detail), dict(error.headers or {}))


async def _answer_nobody(_: Request, __: Exception) -> JSONResponse:
    return _answer(400, "the client left before it had sent the whole body", {})


async def _answer_unexpected(_: Request, __: Exception) -> JSONResponse:
    return unexpected()


def _answer(status: int, detail: str | list[Problem], headers: dict[str, str]) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)

"""Where every request comes in: by what name, from whom, how many at a time, and the short way to predictions."""

import hashlib
import hmac
import logging

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from modelyard.hosts import REFUSAL, AllowedHosts
from modelyard.settings import Settings
from services.api import metrics
from services.api.errors import BodyTooLarge, ForeignHost, Overloaded, RequestError, Unauthorized, answer_to
from services.api.http.predict import predict
from services.api.http.request import PATH
from services.api.http.trace import passing_on
from services.api.limits.bodies import SMALL_BYTES
from services.api.limits.traffic import Traffic
from services.api.service import Service

LOGGER = logging.getLogger(__name__)

# What probes ask; they are answered always, and to anybody.
OPEN_PATHS = frozenset({"/live", "/ready"})
KEY_HEADER = b"x-api-key"
BEARER = b"Bearer "
# Of a hash that tells callers apart.
CALLER_DIGITS = 16


class Gateway:
    """The API as the server sees it.

    Args:
        app: Answers everything but predictions.
        settings: What it is set to.
        traffic: Is told how many requests are under way.

    Attributes:
        app: The same.
        most_requests: How many may be under way.
    """

    def __init__(self, app: FastAPI, settings: Settings, traffic: Traffic) -> None:
        self.app = app
        self._traffic = traffic
        self.most_requests = settings.api_concurrency_limit
        self._hosts = AllowedHosts(settings.host_names)
        self._keys = [key.strip().lower().encode() for key in settings.api_keys.split(",") if key]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or says why it is not answered."""
        send = passing_on(scope, send)
        if scope["type"] != "http" or (scope["path"] in OPEN_PATHS and not _brings_much(scope)):
            await self.app(scope, receive, send)
        elif not self._hosts.allow(scope["headers"]):
            await _refuse(ForeignHost(REFUSAL), scope, receive, send)
        elif (caller := self._caller(scope)) is None:
            sentence = "this API answers only requests with a key, in the header X-API-Key or Authorization: Bearer"
            await _refuse(Unauthorized(sentence), scope, receive, send)
        elif self._traffic.under_way >= self.most_requests:
            sentence = f"{self.most_requests} requests are being answered already (API_CONCURRENCY_LIMIT)"
            await _refuse(Overloaded(sentence), scope, receive, send)
        else:
            await self._answer(caller, scope, receive, send)

    async def _answer(self, caller: str, scope: Scope, receive: Receive, send: Send) -> None:
        self._traffic.under_way += 1
        try:
            if scope["method"] == "POST" and _is_prediction(scope["path"]):
                service: Service = self.app.state.service
                await predict(service, caller, scope, receive, send)
            elif _brings_much(scope):
                sentence = f"{scope['path']} reads no body: only /predict does"
                await _refuse(BodyTooLarge(sentence), scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            self._traffic.under_way -= 1

    def _caller(self, scope: Scope) -> str | None:
        """Tells callers apart, by a hash of the key: empty where no key is wanted, None for who has none."""
        if not self._keys:
            return ""
        headers = dict(scope["headers"])
        given = headers.get(KEY_HEADER) or headers.get(b"authorization", b"").removeprefix(BEARER)
        digest = hashlib.sha256(given).hexdigest().encode()
        if not any(hmac.compare_digest(digest, key) for key in self._keys):
            return None
        # Not the hash that the settings have: this one is kept with what was asked.
        return hashlib.sha256(digest).hexdigest()[:CALLER_DIGITS]


async def _refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    metrics.note_request("", "", error.outcome, 0)
    await answer_to(error)(scope, receive, send)


def _brings_much(scope: Scope) -> bool:
    """Whether a request has more of a body than may be left lying about unread."""
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"0")
    return b"transfer-encoding" in headers or not announced.isdigit() or int(announced) > SMALL_BYTES


def _is_prediction(path: str) -> bool:
    return path.startswith(PATH) and path[len(PATH) :][:1] in ("", "/")

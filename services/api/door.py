"""Where every request comes in: by what name, from whom, how many at a time, and the short way to predictions."""

import hashlib
import hmac
import logging

from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from modelyard.hosts import REFUSAL, AllowedHosts
from modelyard.settings import Settings
from services.api import metrics
from services.api.errors import ForeignHost, NotAllowed, Overloaded, RequestError, answer_to
from services.api.incoming import PATH
from services.api.predictions import predict
from services.api.service import Service
from services.api.trace import passing_on
from services.api.traffic import Traffic

LOGGER = logging.getLogger(__name__)

# What probes ask; they are answered always, and to anybody.
OPEN_PATHS = frozenset({"/live", "/ready"})
KEY_HEADER = b"x-api-key"
BEARER = b"Bearer "


class Door:
    """The API as the server sees it.

    Args:
        app: Answers everything but predictions.
        settings: What it is set to.
        traffic: Is told how many requests are under way.

    Attributes:
        app: The same.
    """

    def __init__(self, app: FastAPI, settings: Settings, traffic: Traffic) -> None:
        self.app = app
        self._traffic = traffic
        self._limit = settings.api_concurrency_limit
        self._hosts = AllowedHosts(settings.host_names)
        self._keys = [key.strip().lower().encode() for key in settings.api_keys.split(",") if key]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or says why it is not answered."""
        send = passing_on(scope, send)
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self.app(scope, receive, send)
        elif not self._hosts.allow(scope["headers"]):
            await _refuse(ForeignHost(REFUSAL), scope, receive, send)
        elif self._keys and not self._is_allowed(scope):
            sentence = "this API answers only requests with a key, in the header X-API-Key or Authorization: Bearer"
            await _refuse(NotAllowed(sentence), scope, receive, send)
        elif self._traffic.under_way >= self._limit:
            sentence = f"{self._limit} requests are being answered already (API_CONCURRENCY_LIMIT)"
            await _refuse(Overloaded(sentence), scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._traffic.under_way += 1
        try:
            if scope["method"] == "POST" and _is_prediction(scope["path"]):
                service: Service = self.app.state.service
                await predict(service, scope, receive, send)
            else:
                await self.app(scope, receive, send)
        finally:
            self._traffic.under_way -= 1

    def _is_allowed(self, scope: Scope) -> bool:
        headers = dict(scope["headers"])
        given = headers.get(KEY_HEADER) or headers.get(b"authorization", b"").removeprefix(BEARER)
        digest = hashlib.sha256(given).hexdigest().encode()
        return any(hmac.compare_digest(digest, key) for key in self._keys)


async def _refuse(error: RequestError, scope: Scope, receive: Receive, send: Send) -> None:
    metrics.note_request("", "", error.outcome, 0)
    await answer_to(error)(scope, receive, send)


def _is_prediction(path: str) -> bool:
    return path.startswith(PATH) and path[len(PATH) :][:1] in ("", "/")

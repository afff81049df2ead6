"""Asks the API. What goes wrong becomes one kind of error, whose sentences people can act on."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from services.frontend.said import (
    Answer,
    Health,
    Info,
    KeptPrediction,
    LastPredictions,
    Record,
    Said,
    Services,
)

TIMEOUT_SECONDS = 30
CONNECT_SECONDS = 3
KEY_REFUSED = (
    "The API wants a key, and this frontend has none that it allows: set API_KEY to one, and start the frontend again."
)


Part = TypeVar("Part", bound=Said)


class ApiTrouble(Exception):
    """The API has no answer.

    Attributes:
        sentences: Why, for people.
        fields: What is wrong with a field, by its name, in the API's words.
    """

    def __init__(self, sentences: Sequence[str], fields: dict[str, str] | None = None) -> None:
        super().__init__("; ".join(sentences))
        self.sentences = list(sentences)
        self.fields = fields or {}


class Api:
    """The API at an address.

    Args:
        url: Where it is.
        key: Sent with every request, where one is needed.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS),
            trust_env=False,
        )

    def close(self) -> None:
        """Ends its connections."""
        self._client.close()

    def info(self) -> Info:
        """What is served."""
        return _as(Info, self._json("GET", "/info"))

    def health(self) -> Health:
        """How the API is, also when it cannot answer predictions."""
        return _as(Health, self._json("GET", "/health", also=HTTPStatus.SERVICE_UNAVAILABLE))

    def services(self) -> Services:
        """The services of the platform, and the files of use cases that cannot be used."""
        return _as(Services, self._json("GET", "/services"))

    def last_predictions(self, use_case: str, limit: int) -> tuple[KeptPrediction, ...]:
        """What was answered last for a use case."""
        said = self._json("GET", f"/predictions/{use_case}", params={"limit": limit})
        return _as(LastPredictions, said).predictions

    def predict(self, use_case: str, record: Record) -> Answer:
        """The answer to a record."""
        return _as(Answer, self._json("POST", f"/predict/{use_case}", json=record))

    def _json(self, method: str, path: str, also: HTTPStatus = HTTPStatus.OK, **more: Any) -> Any:
        try:
            response = self._client.request(method, path, **more)
        except httpx.TimeoutException as error:
            raise ApiTrouble([f"The API at {self.url} takes too long to answer. Try again in a moment."]) from error
        except httpx.HTTPError as error:
            raise ApiTrouble([f"The API at {self.url} does not answer. Is the platform up?"]) from error
        if response.is_success or response.status_code == also:
            return _content(response)
        raise _trouble(response)


def _as(part: type[Part], content: Any) -> Part:
    try:
        return part.model_validate(content)
    except ValidationError as error:
        raise ApiTrouble(["The API says something that this frontend does not understand: update both."]) from error


def _content(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError as error:
        raise ApiTrouble([f"What answers at {response.url.host} is not the API of Modelyard."]) from error


def _trouble(response: httpx.Response) -> ApiTrouble:
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        return ApiTrouble([KEY_REFUSED])
    content = _content(response)
    detail = content.get("detail") if isinstance(content, dict) else None
    if isinstance(detail, str):
        return ApiTrouble([sentence(detail)])
    problems = [problem for problem in detail or () if isinstance(problem, dict)]
    fields = {str(problem["loc"][1]): str(problem["msg"]) for problem in problems if len(problem["loc"]) > 1}
    others = [sentence(problem["msg"]) for problem in problems if len(problem["loc"]) <= 1]
    if not (fields or others):
        others = [f"The API answers with the status {response.status_code}, and does not say why."]
    return ApiTrouble(others, fields)


def sentence(words: str) -> str:
    """Words as a sentence: with a capital and a full stop."""
    words = words.strip()
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")

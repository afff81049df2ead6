"""The OpenAPI document: what FastAPI knows of the routes, and a typed `predict` for each use case that is served."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.api.http.schemas import Schema, answer_schema, form_schema, record_schema
from services.api.log.idempotency import LONGEST_KEY
from services.api.models.served import Models, ServedVersion

TAG = "predictions"
ERRORS = {
    401: "The request has no key that is allowed.",
    404: "There is no such use case.",
    408: "The body came too slowly.",
    409: "The `Idempotency-Key` was used for another request.",
    413: "The body is too large.",
    421: "The header `Host` does not name this service (`ALLOWED_HOSTS`).",
    422: "The body is not a record that the model takes; each problem names its field.",
    500: "The model has no answer to this record.",
    503: "No model answers yet, or the prediction could not be kept. Try again after `Retry-After` seconds.",
}
OF_FILES = {
    403: "A page of another site sent the form.",
    413: "The body is too large, or the picture has too many pixels.",
    415: "The file is no picture of a kind that is read.",
}
IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The client's name for this request: sent again under it, it gets the same answer and no other row.",
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[ -~]+$"},
}
SENTENCE: Schema = {
    "title": "Error",
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "A sentence."}},
    "required": ["detail"],
}
PROBLEMS: Schema = {
    "title": "Problems",
    "type": "object",
    "properties": {
        "detail": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "type": {"type": "string"},
                    "loc": {"type": "array", "items": {"type": "string"}},
                    "msg": {"type": "string", "description": "A sentence that names the field."},
                },
                "required": ["type", "loc", "msg"],
            },
        }
    },
    "required": ["detail"],
}


class Document:
    """The OpenAPI document of what is served now; made again after every swap.

    Args:
        app: Whose routes are documented.
        models: What is served.
    """

    def __init__(self, app: FastAPI, models: Models) -> None:
        self._app = app
        self._models = models
        self._made: dict[str, Any] | None = None
        models.on_change(self._forget)

    def __call__(self) -> dict[str, Any]:
        """The document."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def _forget(self) -> None:
        self._made = None

    def _make(self) -> dict[str, Any]:
        app = self._app
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas |= {"Error": SENTENCE, "Problems": PROBLEMS}
        for use_case, served in self._models.served().items():
            schemas[f"{use_case}_record"] = record_schema(served.contract)
            schemas[f"{use_case}_answer"] = answer_schema(served.contract)
            schemas[f"{use_case}_batch"] = {"type": "array", "items": _named(f"{use_case}_record"), "minItems": 1}
            answers = {"type": "array", "items": _named(f"{use_case}_answer")}
            schemas[f"{use_case}_answers"] = {
                "type": "object",
                "properties": {"predictions": answers},
                "required": ["predictions"],
            }
            document["paths"][f"/predict/{use_case}"] = {"post": _operation(use_case, served)}
            document["paths"][f"/predict/{use_case}/batch"] = {"post": _batch_operation(use_case, served)}
        document["paths"]["/predict"] = {"post": self._default_operation()}
        document["paths"]["/predict/batch"] = {"post": self._default_batch_operation()}
        return document

    def _default_operation(self) -> dict[str, Any]:
        use_case = self._models.default_use_case
        served = self._models.served().get(use_case)
        if served is None:
            operation = _described(f"Predict {use_case}", "No version of it is in production yet.")
            return operation | {"operationId": "predict", "responses": _error_responses()}
        return _operation(use_case, served) | {"operationId": "predict", "summary": f"Predict {use_case}, the default"}

    def _default_batch_operation(self) -> dict[str, Any]:
        use_case = self._models.default_use_case
        single = self._default_operation() | {"operationId": "predict_batch"}
        served = self._models.served().get(use_case)
        if served is None:
            return single
        return _batch_operation(use_case, served) | {
            "operationId": "predict_batch",
            "summary": f"{single['summary']}; many",
        }


def _operation(use_case: str, served: ServedVersion) -> dict[str, Any]:
    contract = served.contract
    title = contract.title or use_case
    operation = _described(f"Predict {title}", f"{contract.description}\n\nVersion {served.version} answers.".strip())
    answer = {"description": "The prediction; it has been kept.", "content": json_content(f"{use_case}_answer")}
    return operation | {
        "operationId": f"predict_{use_case}",
        "requestBody": {"required": True, "content": _bodies(use_case, served)},
        "responses": {"200": answer, **_error_responses(OF_FILES if served.reader.takes_files else {})},
    }


def _batch_operation(use_case: str, served: ServedVersion) -> dict[str, Any]:
    single = _operation(use_case, served)
    answer = {
        "description": "A prediction for each, in order; all have been kept.",
        "content": json_content(f"{use_case}_answers"),
    }
    return single | {
        "operationId": f"predict_{use_case}_batch",
        "summary": f"{single['summary']}, many at once",
        "requestBody": {"required": True, "content": json_content(f"{use_case}_batch")},
        "responses": single["responses"] | {"200": answer},
    }


def _bodies(use_case: str, served: ServedVersion) -> dict[str, Any]:
    record = json_content(f"{use_case}_record")
    if not served.reader.takes_files:
        return record
    # First, as a person who tries it out has a file.
    return {"multipart/form-data": {"schema": form_schema(served.contract)}} | record


def _described(summary: str, description: str) -> dict[str, Any]:
    return {"tags": [TAG], "summary": summary, "description": description, "parameters": [IDEMPOTENCY_KEY]}


def _error_responses(more: Mapping[int, str] = MappingProxyType({})) -> dict[str, Any]:
    return {
        str(status): {"description": text, "content": json_content("Problems" if status == 422 else "Error")}
        for status, text in sorted({**ERRORS, **more}.items())
    }


def json_content(schema: str) -> dict[str, Any]:
    """A body of JSON, of a schema that the document names."""
    return {"application/json": {"schema": _named(schema)}}


def _named(schema: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{schema}"}

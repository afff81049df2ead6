"""What was answered last, for people to look back on: the answers and their keys, never what was asked with."""

import json
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import asyncpg
from fastapi import APIRouter, Query
from pydantic import BaseModel

from modelyard.contract import Label
from modelyard.stores.database import statement
from services.api.errors import NotReady
from services.api.http.openapi import json_content
from services.api.http.routes import ServiceDep
from services.api.log.database import DATABASE_ERRORS, unavailable

MOST = 200
USUAL = 20
ERRORS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such use case.", "content": json_content("Error")},
    503: {"description": "The database does not answer.", "content": json_content("Error")},
}

router = APIRouter(tags=["service"])


class KeptPrediction(BaseModel):
    """An answer as it was kept."""

    request_id: UUID
    created_at: datetime
    model_version: int
    record_key: str | None
    prediction: Label | float
    probabilities: dict[str, float] | None
    lower: float | None = None
    upper: float | None = None

    @classmethod
    def of(cls, row: asyncpg.Record) -> "KeptPrediction":
        """As its row says it."""
        probabilities = row["probabilities"]
        return cls(
            request_id=row["request_id"],
            created_at=row["created_at"],
            model_version=row["model_version"],
            record_key=row["record_key"],
            prediction=json.loads(row["prediction"]),
            probabilities=None if probabilities is None else json.loads(probabilities),
            lower=row["lower"],
            upper=row["upper"],
        )


class LastPredictions(BaseModel):
    """What was answered last for a use case, the newest first."""

    use_case: str
    predictions: list[KeptPrediction]


@router.get("/predictions/{use_case}", responses=ERRORS)
async def last_predictions(
    use_case: str, service: ServiceDep, limit: Annotated[int, Query(ge=1, le=MOST)] = USUAL
) -> LastPredictions:
    """The last answers for a use case: what was said, by which version, and of which record."""
    service.models.check_known(use_case)
    try:
        async with service.lines.use() as connection:
            rows = await connection.fetch(statement("last_predictions").text, use_case, limit)
    except DATABASE_ERRORS as error:
        raise NotReady(unavailable(service.lines.url, error)) from error
    return LastPredictions(use_case=use_case, predictions=[KeptPrediction.of(row) for row in rows])

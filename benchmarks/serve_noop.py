"""An API that does nothing, with the same server and the same shape of request and answer: what HTTP alone costs.

`python -m benchmarks.serve_noop PORT`
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

REQUEST_ID = "01234567-89ab-7def-8123-456789abcdef"


class Record(BaseModel):
    """The benchmark's record."""

    age: int | None = None
    income: float | None = None
    credit_score: int | None = None
    amount: float | None = None
    interest_rate: float | None = None
    years_employed: int | None = None
    years_of_history: int | None = None
    open_accounts: int | None = None
    had_default: bool
    purpose: str
    home: str


class Prediction(BaseModel):
    """An answer as `POST /predict` gives it."""

    prediction: int
    probability: float
    model_version: int
    request_id: str
    warnings: list[str]


app = FastAPI()


@app.post("/predict/serve_benchmark")
async def predict(record: Record) -> Prediction:
    """Answers without looking."""
    return Prediction(
        prediction=int(record.had_default), probability=0.5, model_version=1, request_id=REQUEST_ID, warnings=[]
    )


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)

"""What is kept of an answer: rows of the table `predictions`, and the key under which a client may ask again."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

PRODUCTION = "production"
SHADOW = "shadow"


class Row(NamedTuple):
    """A row of the table `predictions`, in the order of `add_predictions.sql`; features to probabilities are JSON."""

    request_id: str
    use_case: str
    model_version: int
    role: str
    record_key: str | None
    features: str
    prediction: str
    probabilities: str | None
    latency_ms: float
    created_at: datetime
    lower: float | None = None
    upper: float | None = None


class Claim(NamedTuple):
    """A row of the table `idempotency_keys`, in the order of `claim_idempotency_keys.sql`.

    Attributes:
        use_case: What was asked for.
        idempotency_key: The client's name for its request.
        body_sha256: Hash of what was asked.
        request_id: Of the first row that was kept for it.
        answer: The body of the answer.
        created_at: When it was given.
        caller: Who asked, told apart by a hash of the API key; empty: an API without keys, or a claim from before.
    """

    use_case: str
    idempotency_key: str
    body_sha256: str
    request_id: str
    answer: str
    created_at: datetime
    caller: str = ""


class LogEntry(NamedTuple):
    """What is kept together or not at all: the rows of one request.

    Attributes:
        rows: One for each record that was asked for.
        claim: The client's key, if the request has one.
    """

    rows: Sequence[Row]
    claim: Claim | None = None

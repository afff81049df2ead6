"""What the gate said of each version, and so which version was in production before which."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Engine

from modelyard.stores.database import statement, transaction


class Verdict(StrEnum):
    """What became of a version at the gate."""

    PROMOTED = "promoted"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    REFUSED = "refused"
    FORCED = "forced"
    ROLLED_BACK = "rolled back"


class KeptVerdict(NamedTuple):
    """What was said of a version.

    Attributes:
        verdict: What became of it.
        previous: The version in production at that time.
        reasons: Why.
        numbers: What it follows from.
    """

    verdict: Verdict
    previous: int | None
    reasons: tuple[str, ...]
    numbers: dict[str, Any]


class Verdicts:
    """The table of verdicts."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(
        self,
        use_case: str,
        version: int,
        previous: int | None,
        verdict: Verdict,
        reasons: Sequence[str] = (),
        numbers: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds a verdict."""
        row = {
            "use_case": use_case,
            "model_version": version,
            "previous_version": previous,
            "verdict": verdict.value,
            "reasons": json.dumps(list(reasons)),
            "numbers": json.dumps(dict(numbers or {})),
        }
        with transaction(self._engine) as connection:
            connection.execute(statement("keep_verdict"), row)

    def newest(self, use_case: str, version: int) -> KeptVerdict | None:
        """What was said of a version last; None: nothing yet."""
        key = {"use_case": use_case, "model_version": version}
        with transaction(self._engine) as connection:
            row = connection.execute(statement("newest_verdict"), key).first()
        if row is None:
            return None
        return KeptVerdict(Verdict(row.verdict), row.previous_version, tuple(row.reasons), row.numbers)

    def in_production(self) -> dict[str, int]:
        """The version of each use case that came into production last."""
        with transaction(self._engine) as connection:
            rows = connection.execute(statement("in_production_by_verdicts"))
            return {row.use_case: int(row.model_version) for row in rows}

    def before(self, use_case: str, version: int) -> int | None:
        """The version that was in production before a version came into it, if there was one."""
        with transaction(self._engine) as connection:
            found = connection.scalar(statement("version_before"), {"use_case": use_case, "model_version": version})
        return None if found is None else int(found)

    def best_first(self, use_case: str) -> list[int]:
        """The versions that passed the gate and were not taken out again, the best first.

        The first one is the best until another one is shown to be better on the same records: to compare two numbers
        of two test parts would make the luckier version the best. Those that were not shown to be better follow, the
        oldest first.
        """
        with transaction(self._engine) as connection:
            rows = connection.execute(statement("promotions"), {"use_case": use_case}).all()
        ranked: list[int] = []
        for row in rows:
            if row.is_best:
                ranked = [row.model_version, *(each for each in ranked if each != row.model_version)]
            elif row.model_version not in ranked:
                ranked.append(row.model_version)
        return ranked

    def objections(self, use_case: str, version: int) -> list[str]:
        """Why a version must not come into production by itself: it was there and was taken out."""
        with transaction(self._engine) as connection:
            found = connection.execute(
                statement("roll_back_of"), {"use_case": use_case, "model_version": version}
            ).first()
        if found is None:
            return []
        return [f"it was taken out of production on {found.decided_at:%Y-%m-%d at %H:%M} ({found.reasons[0]})"]

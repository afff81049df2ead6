"""`raw_data.predictions`: every answer that was given, in parts of a month each."""

from sqlalchemy import Engine

from modelyard.stores.database import statement, transaction


class PredictionStore:
    """The answers that were kept, as far as steps have to do with them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def prune(self, months: int) -> int:
        """Drops the parts that are older than so many whole months before this one, and tells how many.

        Raises:
            ServiceUnavailable: The database does not answer.
        """
        with transaction(self._engine) as connection:
            return int(connection.scalar(statement("drop_prediction_months"), {"months": months}) or 0)

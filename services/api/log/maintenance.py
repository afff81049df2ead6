"""What has to be done in the database now and then: places for the months to come, and keys that are too old."""

import asyncio
import logging

from modelyard.stores.database import statement
from services.api.log.database import DATABASE_ERRORS, ConnectionPool, unavailable

LOGGER = logging.getLogger(__name__)

EVERY_SECONDS = 6 * 3600.0
AGAIN_SECONDS = 10.0


async def keep_house(lines: ConnectionPool, idempotency_seconds: float) -> None:
    """Does it when the API starts and some times a day, until it is cancelled; tried again after an outage.

    Args:
        lines: Connections to `raw_data`.
        idempotency_seconds: From which age on a client's key is forgotten.
    """
    while True:
        try:
            async with lines.use() as connection:
                await connection.execute(statement("add_prediction_months").text)
                await connection.execute(statement("forget_idempotency_keys").text, idempotency_seconds)
        except DATABASE_ERRORS as error:
            LOGGER.debug("%s", unavailable(lines.url, error))
            await asyncio.sleep(AGAIN_SECONDS)
        else:
            await asyncio.sleep(EVERY_SECONDS)

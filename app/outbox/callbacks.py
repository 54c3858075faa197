"""Store status callbacks once and apply them by rank. Separate from the sender to keep the API process small."""

from uuid import UUID

import structlog

from app import db
from app.channels.base import StatusUpdate
from app.clock import Clock
from app.db import Database
from app.outbox import queries

log = structlog.get_logger()

STORE_WITHIN = 9.0
"""The time in seconds to retry while Postgres is unavailable. Twilio waits 15 in all."""


class StatusCallbacks:
    """Applies the provider's status callbacks."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def apply(self, tenant_id: UUID, update: StatusUpdate) -> None:
        """Move the row's status forward. A callback for an unknown row is logged and dropped."""

        async def store() -> bool:
            async with self._db.statement(tenant_id) as tx:
                return await queries.apply_status(tx, tenant_id, update, self._clock())

        known = await db.retry_while_unavailable(store, within=STORE_WITHIN)
        if not known:
            log.warning("status callback for no row of ours", outbox_id=update.outbox_id)
        elif update.status == "failed":
            log.warning("message failed at the provider", outbox_id=update.outbox_id, error_code=update.error_code)

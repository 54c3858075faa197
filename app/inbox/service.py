"""Store what happens to conversations, then nudge a worker."""

from typing import Any
from uuid import UUID

import psycopg
import structlog

from app import db
from app.broker import Nudge, Nudger
from app.channels.base import InboundMessage
from app.clock import Clock
from app.db import Database
from app.errors import ConflictError
from app.inbox import queries
from app.inbox.queries import Received
from app.telemetry import Milestone, MilestoneHook, no_hook

log = structlog.get_logger()

STORE_WITHIN = 9.0
"""The time in seconds to retry while Postgres is unavailable. Twilio waits 15 in all."""

TIMERS_AT_ONCE = 200


class Inbox:
    """The entry of messages and decisions. `clock` decides what is due."""

    def __init__(self, db: Database, nudger: Nudger, clock: Clock, on_milestone: MilestoneHook = no_hook) -> None:
        self._db = db
        self._nudger = nudger
        self.clock = clock
        self._on_milestone = on_milestone

    async def receive(self, tenant_id: UUID, channel_id: UUID, message: InboundMessage) -> bool:
        """Store a message durably.

        Return False when it was already stored. Raises DatabaseUnavailable when Postgres stays away. A retry after a
        broken connection is safe: if the first try was committed, the retry is a duplicate.
        """

        async def store() -> Received | None:
            try:
                async with self._db.statement(tenant_id) as tx:
                    return await queries.receive(tx, tenant_id, channel_id, message, self.clock())
            except psycopg.errors.UniqueViolation:
                return None

        received = await db.retry_while_unavailable(store, within=STORE_WITHIN)
        self._on_milestone(Milestone.MESSAGE_STORED)
        if received is not None and received.pending == 1:
            self._nudge(tenant_id, received)
        return received is not None

    async def decide(self, tenant_id: UUID, interrupt_id: str, decision: dict[str, Any]) -> UUID:
        """Store an operator's decision for the conversation that waits for it. Raises ConflictError."""
        async with self._db.statement(tenant_id) as tx:
            received = await queries.add_decision(tx, interrupt_id, decision, self.clock())
        if received is None:
            raise ConflictError(
                f"interrupt {interrupt_id} is not pending: `recado interrupts list` shows those that are"
            )
        self._nudge(tenant_id, received)
        return received.conversation_id

    def _nudge(self, tenant_id: UUID, received: Received) -> None:
        self._nudger.send(Nudge(tenant_id, received.conversation_id, received.due_at.timestamp()))


async def fire_timers(system: Database, nudger: Nudger, clock: Clock) -> int:
    """Move due timers of all tenants into the inbox, and return their number."""
    now = clock()
    async with system.statement() as tx:
        fired = await queries.fire_timers(tx, now, TIMERS_AT_ONCE)
    for timer in fired:
        nudger.send(Nudge(timer.tenant_id, timer.conversation_id, now.timestamp()))
    return len(fired)

"""Where tools run: with their ports, and writes through the journal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import structlog

from app.appointments.service import Booker, TenantAppointments
from app.db import AWAY, Database, Transaction
from app.observability import Milestone, Reached
from app.turns import queries
from app.turns.queries import Claim
from graphs.config import Assistant
from tools.context import JSON, Effect, ToolBroke, ToolCall, ToolContext

log = structlog.get_logger()


class JournalingToolRunner:
    """Fulfils the graph's tool port for one turn."""

    def __init__(self, db: Database, claim: Claim, assistant: Assistant, now: datetime, reached: Reached) -> None:
        self._db = db
        self._claim = claim
        self._assistant = assistant
        self._now = now
        self._reached = reached

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing."""
        async with self._db.statement(self._claim.tenant_id) as tx:
            return await self._run(effect, tx)

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Runs a tool and writes the journal in one transaction.

        A second run of the same call, in this worker or in another, waits for the first one's commit on the journal's
        key, and then returns what that one recorded.
        """
        key: dict[str, Any] = {
            "tenant_id": self._claim.tenant_id,
            "conversation_id": self._claim.id,
            "turn": self._claim.next_turn,
            "tool_call_id": call.id,
        }
        async with self._transaction() as tx:
            if not await queries.journal_call(tx, key, call.name, call.arguments, self._now):
                return await queries.journaled_result(tx, key)
            result = await self._run(effect, tx)
            await queries.journal_result(tx, key, result)
            self._reached(Milestone.TOOL_RUN)
            return result

    async def _run(self, effect: Effect, tx: Transaction) -> JSON:
        try:
            return await effect(self._context(tx))
        except AWAY:
            raise
        except Exception as error:
            # Run again it would fail again, and in the end take the turn with it: the model is told instead.
            log.exception("tool broke", conversation_id=str(self._claim.id))
            raise ToolBroke(type(error).__name__) from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._db.transaction(self._claim.tenant_id) as tx:
            yield tx
        self._reached(Milestone.TOOL_COMMITTED)

    def _context(self, tx: Transaction) -> ToolContext:
        booker = Booker(self._claim.tenant_id, self._claim.contact_id, self._claim.id)
        assistant = self._assistant
        appointments = TenantAppointments(tx, booker, assistant.calendars, assistant.timezone, self._now)
        return ToolContext(now=self._now, timezone=assistant.timezone, appointments=appointments)

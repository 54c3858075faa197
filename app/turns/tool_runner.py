"""Where tools run: with their ports, and writes through the journal."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from app.appointments.service import Booker, TenantAppointments
from app.conversations.facts import ContactFacts
from app.db import DB_UNAVAILABLE, Database, Transaction
from app.errors import ConfigurationError
from app.identity.secrets import Secrets
from app.knowledge.service import VersionKnowledge
from app.telemetry import Milestone, MilestoneHook
from app.turns import queries
from app.turns.queries import Claim
from manifest.loader import Loaded
from tools.ports import (
    JSON,
    Effect,
    OutcomeUnknown,
    Outgoing,
    ToolBroke,
    ToolCall,
    ToolContext,
    Unreachable,
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Ports:
    """What the tools of every turn work with."""

    db: Database
    secrets: Secrets
    outgoing: Outgoing
    on_milestone: MilestoneHook


class JournalingToolRunner:
    """Fulfils the graph's tool port for one turn."""

    def __init__(self, ports: Ports, claim: Claim, loaded: Loaded, now: datetime) -> None:
        self._ports = ports
        self._claim = claim
        self._loaded = loaded
        self._assistant = loaded.assistant
        self._now = now

    async def read(self, effect: Effect) -> JSON:
        """Runs a tool that changes nothing."""
        async with self._ports.db.statement(self._claim.tenant_id) as tx:
            return await self._run(effect, self._local_context(tx))

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Runs a tool and writes the journal in one transaction.

        A second run of the same call, in this worker or in another, waits for the first one's commit on the journal's
        key, and then returns what that one recorded.
        """
        key = self._key(call)
        async with self._transaction() as tx:
            if not await queries.journal_call(tx, key, call.name, call.arguments, self._now):
                result = await queries.journaled_result(tx, key)
                assert result is not None, "the entry and its result are committed together"
                return result
            result = await self._run(effect, self._local_context(tx))
            await queries.journal_result(tx, key, result)
            self._ports.on_milestone(Milestone.TOOL_RUN)
            return result

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Asks another system, with no connection of ours held meanwhile."""
        try:
            return await self._run(effect, await self._remote_context(call))
        except Unreachable as error:
            raise ToolBroke(str(error), told=str(error)) from None

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Writes the journal before the call and after it: two commits, with the other system's in between.

        What was begun and never ended, by this worker or by one that is gone, may have been done.
        """
        key = self._key(call)
        context = await self._remote_context(call)
        begun_before = False
        async with self._ports.db.statement(self._claim.tenant_id) as tx:
            if not await queries.journal_call(tx, key, call.name, call.arguments, self._now):
                result = await queries.journaled_result(tx, key)
                if result is not None:
                    return result
                if not idempotent:
                    raise OutcomeUnknown(call.name)
                begun_before = True
        try:
            result = await self._run(effect, context)
        except ToolBroke:
            raise OutcomeUnknown(call.name) from None
        except Unreachable as error:
            # That this attempt was not sent says nothing of an earlier one.
            if error.sent or begun_before:
                raise OutcomeUnknown(call.name) from None
            await self._forget(key)
            raise ToolBroke(str(error), told=str(error)) from None
        self._ports.on_milestone(Milestone.TOOL_RUN)
        async with self._ports.db.statement(self._claim.tenant_id) as tx:
            await queries.journal_result(tx, key, result)
        self._ports.on_milestone(Milestone.TOOL_COMMITTED)
        return result

    async def _forget(self, key: Mapping[str, Any]) -> None:
        async with self._ports.db.statement(self._claim.tenant_id) as tx:
            await queries.forget_call(tx, key)

    async def _run(self, effect: Effect, context: ToolContext) -> JSON:
        try:
            return await effect(context)
        except (*DB_UNAVAILABLE, Unreachable):
            raise
        except Exception as error:
            # Run again it would fail again, and in the end take the turn with it: the model is told instead.
            log.exception("tool broke", conversation_id=str(self._claim.id))
            raise ToolBroke(type(error).__name__) from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._ports.db.transaction(self._claim.tenant_id) as tx:
            yield tx
        self._ports.on_milestone(Milestone.TOOL_COMMITTED)

    def _key(self, call: ToolCall) -> dict[str, Any]:
        return {
            "tenant_id": self._claim.tenant_id,
            "conversation_id": self._claim.id,
            "turn": self._claim.next_turn,
            "tool_call_id": call.id,
        }

    def _local_context(self, tx: Transaction) -> ToolContext:
        claim, assistant = self._claim, self._assistant
        booker = Booker(claim.tenant_id, claim.contact_id, claim.id)
        return self._context(
            appointments=TenantAppointments(tx, booker, assistant.calendars, assistant.timezone, self._now),
            facts=ContactFacts(tx, claim.contact_id),
            knowledge=VersionKnowledge(tx, claim.tenant_id, self._loaded),
        )

    def _context(self, **more: Any) -> ToolContext:
        return ToolContext(self._now, self._assistant.timezone, self._ports.outgoing, **more)

    async def _remote_context(self, call: ToolCall) -> ToolContext:
        try:
            secrets = await self._ports.secrets.of(self._claim.tenant_id, call.secrets)
        except ConfigurationError as error:
            log.error("secret does not open", tenant_id=str(self._claim.tenant_id), reason=str(error))
            raise ToolBroke("a secret does not open") from None
        if missing := sorted(call.secrets - secrets.keys()):
            log.error("secret not set", tenant_id=str(self._claim.tenant_id), names=missing)
            raise ToolBroke("a secret is not set")
        key = f"{self._claim.id}:{self._claim.next_turn}:{call.id}"
        return self._context(key=key, secrets=secrets)

"""Run a turn's tools: give them their ports, and write every side effect into the journal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog

from app.appointments.service import Booker, TenantAppointments
from app.channels.addresses import phone_of
from app.conversations.facts import ContactFacts
from app.db import Database, DatabaseUnavailable, Transaction
from app.errors import ConfigurationError
from app.identity.queries import channel_address
from app.identity.secrets import Secrets
from app.knowledge.service import VersionKnowledge
from app.telemetry import Milestone, MilestoneHook
from app.turns import journal
from app.turns.claim import Claim
from app.turns.journal import CallKey
from manifest.loader import CompiledAssistant
from tools.kinds.trusted_values import VERIFIED
from tools.net.headers import CONTROL_CHARACTER
from tools.net.resolver import lookups_for
from tools.ports import (
    JSON,
    Effect,
    HttpClient,
    LocalPorts,
    OutcomeUnknown,
    ToolCall,
    ToolContext,
    ToolFailed,
    Unreachable,
)

log = structlog.get_logger()


@dataclass(frozen=True)
class ToolDependencies:
    """The dependencies that the tools of every turn share."""

    db: Database
    secrets: Secrets
    http_client: HttpClient
    on_milestone: MilestoneHook


class JournalingToolRunner:
    """Implements the graph's `ToolRunner` port for one turn."""

    def __init__(self, dependencies: ToolDependencies, claim: Claim, loaded: CompiledAssistant, now: datetime) -> None:
        self._dependencies = dependencies
        self._db = dependencies.db
        self._on_milestone = dependencies.on_milestone
        self._claim = claim
        self._loaded = loaded
        self._now = now

    async def read(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a local tool without side effects."""
        if (earlier := await self._earlier_result(call)) is not None:
            return earlier
        async with self._db.statement(self._claim.tenant_id) as tx:
            result = await self._run(effect, self._local_context(tx))
        await self._keep_result(call, result)
        return result

    async def write_once(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a local tool and write the journal in one transaction.

        A second run of the same call, in any worker, waits for the first one's commit on the journal's key. It then
        returns the result that the first one wrote.
        """
        key = self._key(call)
        async with self._transaction() as tx:
            if not await journal.begin_call(tx, key, call.name, call.arguments, self._now):
                result = await journal.find_result(tx, key)
                assert result is not None, "a local call and its result are committed together"
                return result
            result = await self._run(effect, self._local_context(tx))
            await journal.write_result(tx, key, result)
            self._on_milestone(Milestone.TOOL_RUN)
            return result

    async def read_remote(self, call: ToolCall, effect: Effect) -> JSON:
        """Run a remote tool without side effects. Holds no database connection during the call."""
        if (earlier := await self._earlier_result(call)) is not None:
            return earlier
        try:
            result = await self._run(effect, await self._remote_context(call))
        except Unreachable as error:
            raise ToolFailed(str(error), model_message=str(error)) from None
        await self._keep_result(call, result)
        return result

    async def write_remote(self, call: ToolCall, effect: Effect, *, idempotent: bool) -> JSON:
        """Run a remote tool with a commit of the journal before and after the call.

        An entry without a result means that an earlier attempt may have succeeded. The call is then repeated only if
        it is `idempotent`; otherwise OutcomeUnknown is raised.
        """
        key = self._key(call)
        context = await self._remote_context(call)
        begun_before = False
        async with self._db.statement(self._claim.tenant_id) as tx:
            if not await journal.begin_call(tx, key, call.name, call.arguments, self._now):
                result = await journal.find_result(tx, key)
                if result is not None:
                    return result
                if not idempotent:
                    raise OutcomeUnknown(call.name)
                begun_before = True
        try:
            result = await self._run(effect, replace(context, begun_before=begun_before))
        except ToolFailed:
            # It may have failed after its request was sent.
            raise OutcomeUnknown(call.name) from None
        except Unreachable as error:
            # Even if this attempt was not sent, an earlier one may have been.
            if error.sent or begun_before:
                raise OutcomeUnknown(call.name) from None
            async with self._db.statement(self._claim.tenant_id) as tx:
                await journal.delete_call(tx, key)
            raise ToolFailed(str(error), model_message=str(error)) from None
        self._on_milestone(Milestone.TOOL_RUN)
        async with self._db.statement(self._claim.tenant_id) as tx:
            result = await journal.write_result(tx, key, result)
        self._on_milestone(Milestone.TOOL_COMMITTED)
        return result

    async def _earlier_result(self, call: ToolCall) -> JSON | None:
        """Return the result of this read if an earlier worker kept it. Only reads among several calls are kept."""
        if not (call.one_of_several and self._claim.continues_turn):
            return None
        async with self._db.statement(self._claim.tenant_id) as tx:
            return await journal.find_result(tx, self._key(call))

    async def _keep_result(self, call: ToolCall, result: JSON) -> None:
        """Keep the result of a read among several calls: a worker that continues the turn need not repeat it."""
        if call.one_of_several:
            async with self._db.statement(self._claim.tenant_id) as tx:
                await journal.write_read(tx, self._key(call), call.name, call.arguments, result, self._now)

    async def _run(self, effect: Effect, context: ToolContext) -> JSON:
        try:
            with lookups_for(str(self._claim.tenant_id)):
                return await effect(context)
        except (DatabaseUnavailable, Unreachable):
            raise
        except Exception as error:
            # A repeated run would fail again and end the turn, so the model gets the failure as the result.
            log.exception("tool failed", conversation_id=str(self._claim.id))
            raise ToolFailed(type(error).__name__) from error

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Transaction]:
        async with self._db.transaction(self._claim.tenant_id) as tx:
            yield tx
        self._on_milestone(Milestone.TOOL_COMMITTED)

    def _key(self, call: ToolCall) -> CallKey:
        return CallKey(self._claim.tenant_id, self._claim.id, self._claim.next_turn, call.id)

    def _local_context(self, tx: Transaction) -> ToolContext:
        claim, assistant = self._claim, self._loaded.assistant
        booker = Booker(claim.tenant_id, claim.contact_id, claim.id)
        ports = LocalPorts(
            appointments=TenantAppointments(tx, booker, assistant.calendars, assistant.timezone, self._now),
            facts=ContactFacts(tx, claim.contact_id),
            knowledge=VersionKnowledge(tx, claim.tenant_id, self._loaded),
        )
        return self._context(local=ports)

    async def _remote_context(self, call: ToolCall) -> ToolContext:
        try:
            secrets = await self._dependencies.secrets.of(self._claim.tenant_id, call.secrets)
        except ConfigurationError as error:
            log.error("secret cannot be decrypted", tenant_id=str(self._claim.tenant_id), reason=str(error))
            raise ToolFailed("a secret cannot be decrypted") from None
        if missing := sorted(call.secrets - secrets.keys()):
            log.error("secret not set", tenant_id=str(self._claim.tenant_id), names=missing)
            raise ToolFailed("a secret is not set")
        trusted = await self._trusted(call)
        return self._context(key=self._key(call).idempotency_key, secrets=secrets, trusted=trusted)

    async def _trusted(self, call: ToolCall) -> dict[str, Any]:
        claim, name = self._claim, self._claim.contact_name
        channel = await self._channel_address() if any(each.startswith("channel.") for each in call.trusted) else ""
        known = {
            "contact.phone": phone_of(claim.contact_address),
            "contact.address": claim.contact_address,
            "contact.name": " ".join(CONTROL_CHARACTER.sub(" ", name).split()) if name else None,
            "contact.tags": list(claim.contact_tags) or None,
            "conversation.id": str(claim.id),
            "channel.phone": phone_of(channel),
            "channel.address": channel,
        }
        verified = {f"{VERIFIED}{name}": value for name, value in call.verified.items()}
        return {**{name: value for name, value in known.items() if value}, **verified}

    async def _channel_address(self) -> str:
        async with self._db.statement(self._claim.tenant_id) as tx:
            return await channel_address(tx, self._claim.channel_id)

    def _context(self, **fields: Any) -> ToolContext:
        return ToolContext(self._now, self._loaded.assistant.timezone, self._dependencies.http_client, **fields)

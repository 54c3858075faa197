"""Take one turn of a conversation: claim, plan, execute, settle, commit.

A worker may be killed at any line of this file. What is not committed has not happened; what a committed leg or the
journal of tool calls holds is not repeated by the next attempt.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import structlog

from app.assistants.service import Assistants
from app.clock import Clock
from app.config import Settings
from app.db import DatabaseUnavailable
from app.outbox.queries import OutboxRow
from app.telemetry import Milestone
from app.turns.claim import Claim, ClaimRequest, Unclaimed, claim_conversation, count_failed_claim
from app.turns.commit import CommitResult, Settlement, commit, release
from app.turns.graph_run import GraphRunner
from app.turns.outcome import Committed, Fenced, Folded, Outcome, Released
from app.turns.plan import Action, TurnPlan, plan_turn
from app.turns.settle import Execution, may_fold, needs_expiry, settle
from app.turns.tool_runner import ToolDependencies
from app.turns.usage import UsageLog, write_usage
from graphs.config import Assistant
from graphs.llm_client import Models
from manifest.loader import CompiledAssistant, InvalidFiles

log = structlog.get_logger()

RETRY_AFTER = (1.0, 3.0, 10.0, 30.0)
"""Seconds before a failed turn is tried again."""

FORGIVE_WITHIN = 900.0
"""Seconds after a message arrived in which an unavailable Postgres costs no attempt. A turn that itself makes Postgres
unavailable ends after this time."""

UNPUBLISHED_RETRY = 30.0
"""Seconds between the attempts of a tenant that has a channel and no published assistant."""


class Turns:
    """Takes turns, any number at once. Holds no connection while a model works."""

    def __init__(
        self, assistants: Assistants, models: Models, tools: ToolDependencies, clock: Clock, settings: Settings
    ) -> None:
        self._db = tools.db
        self._assistants = assistants
        self._graphs = GraphRunner(models, tools, clock)
        self._clock = clock
        self._settings = settings
        self._on_milestone = tools.on_milestone
        self._unwritten: list[UsageLog] = []

    async def take(self, tenant_id: UUID, conversation_id: UUID, owner: int, *, alone: bool = False) -> Outcome:
        """Take one turn if one is due. Raises DatabaseUnavailable for the claim.

        `alone`: no other suspect runs in this worker at the same time.
        """
        claim = await self._claim(tenant_id, conversation_id, owner, alone)
        if isinstance(claim, Unclaimed):
            return claim
        self._on_milestone(Milestone.TURN_CLAIMED)
        try:
            async with asyncio.timeout(self._settings.turn_timeout):
                return await self._take_claimed(claim)
        except asyncio.CancelledError:
            await self._release(claim, "interrupted", 0.0, forgive=True)
            raise
        except DatabaseUnavailable as error:
            log.warning("turn interrupted", conversation_id=str(claim.id), error=str(error))
            waited = self._waited(claim)
            forgive = waited < FORGIVE_WITHIN
            wait = min(max(waited / 4, RETRY_AFTER[0]), RETRY_AFTER[-1]) if forgive else _backoff(claim)
            return await self._release(claim, str(error), wait, forgive=forgive)
        except Exception as error:
            # A graph, a tool or a statement failed. The outermost handler of a turn retries all of these alike.
            log.exception("turn failed", conversation_id=str(claim.id), attempts=claim.attempts)
            return await self._release(claim, _reason(error), _backoff(claim))

    async def _claim(self, tenant_id: UUID, conversation_id: UUID, owner: int, alone: bool) -> Claim | Unclaimed:
        """Claim the conversation. A claim that fails is an attempt; after the last one the turn is parked."""
        now = self._clock()
        stale = now - timedelta(seconds=self._settings.lease)
        request = ClaimRequest(conversation_id, owner, now, stale, alone)
        try:
            async with self._db.statement(tenant_id) as tx:
                return await claim_conversation(tx, request)
        except psycopg.Error as error:
            log.exception("claim failed", conversation_id=str(conversation_id))
            reason, attempts = _reason(error), self._settings.turn_attempts
        async with self._db.statement(tenant_id) as tx:
            counted = await count_failed_claim(tx, request, reason, RETRY_AFTER, attempts)
            return counted or await claim_conversation(tx, request, tried=attempts)

    def _waited(self, claim: Claim) -> float:
        """Return the seconds since the oldest row of the claim arrived."""
        return (self._clock() - (claim.pending_since or claim.claimed_at)).total_seconds()

    async def _take_claimed(self, claim: Claim) -> Outcome:
        if not claim.inbox:
            log.error("claimed conversation has no inbox rows", conversation_id=str(claim.id))
            return await self._release(claim, "the inbox is empty", UNPUBLISHED_RETRY, forgive=True)
        if claim.version_id is None:
            log.warning("tenant has no published assistant", tenant_id=str(claim.tenant_id))
            return await self._release(claim, "no assistant is published", UNPUBLISHED_RETRY, forgive=True)
        plan = plan_turn(claim, self._settings.turn_attempts)
        execution = await self._execute(claim, plan)
        if isinstance(execution, Fenced):
            return _fenced(claim)
        settlement = settle(claim, plan, execution, self._clock())
        return await self._commit(claim, settlement, fold=may_fold(claim, plan, execution))

    async def _execute(self, claim: Claim, plan: TurnPlan) -> Execution | Fenced:
        """Run the graph where the plan asks for it. Load the assistant where the settlement needs it."""
        match plan.action:
            case Action.EXPIRE:
                return Execution()
            case Action.SKIP:
                return Execution(await self._assistant_if_valid(claim) if needs_expiry(claim) else None)
            case Action.PARK | Action.GIVE_BACK:
                return Execution((await self._version(claim)).assistant)
            case Action.HAND_OVER:
                version = await self._version(claim)
                if claim.attempts > self._settings.turn_attempts + 1:
                    # What the graph's handoff wrote could not be committed.
                    return Execution(version.assistant)
                return Execution(version.assistant, await self._graphs.hand_over(claim, plan, version))
            case _:
                version = await self._version(claim)
                result = await self._graphs.run(claim, plan, version)
                return result if isinstance(result, Fenced) else Execution(version.assistant, result)

    async def _version(self, claim: Claim) -> CompiledAssistant:
        """Return the version that the conversation opened with, or the current one if that no longer loads."""
        assert claim.version_id is not None
        try:
            return await self._assistants.version(claim.tenant_id, claim.version_id)
        except InvalidFiles:
            log.exception("version unusable", tenant_id=str(claim.tenant_id), version_id=claim.version_id)
            return await self._assistants.current(claim.tenant_id)

    async def _assistant_if_valid(self, claim: Claim) -> Assistant | None:
        with contextlib.suppress(InvalidFiles):
            return (await self._version(claim)).assistant
        return None

    async def _commit(self, claim: Claim, settlement: Settlement, *, fold: bool) -> Outcome:
        now = self._clock()
        async with self._db.statement(claim.tenant_id) as tx:
            result = await commit(tx, claim, settlement, now, unless_new_rows=fold)
        if result is None:
            return await self._fold(claim) if fold else _fenced(claim)
        self._on_milestone(Milestone.TURN_COMMITTED)
        return Committed(
            contact_id=claim.contact_id,
            pending=result.pending,
            due_at=result.due_at,
            head=_head(claim, settlement, result, now),
            has_replies=settlement.record is not None and bool(settlement.record.replies),
        )

    async def _fold(self, claim: Claim) -> Outcome:
        """Release the conversation for a new attempt with all rows."""
        now = self._clock()
        async with self._db.statement(claim.tenant_id) as tx:
            released = await release(
                tx, claim, "a message arrived during the turn", now, due_at=now, forgive=True, folded=True
            )
        return Folded() if released else _fenced(claim)

    async def _release(self, claim: Claim, error: str, wait: float, *, forgive: bool = False) -> Outcome:
        now = self._clock()
        retry_at = now + timedelta(seconds=wait)
        try:
            async with self._db.statement(claim.tenant_id) as tx:
                # If fenced, release does nothing; the next claim reports it.
                await release(tx, claim, error, now, retry_at, forgive=forgive)
        except DatabaseUnavailable as failure:
            # The worker's advisory lock is lost together with Postgres, so a sweep finds the conversation.
            log.warning("release failed", conversation_id=str(claim.id), error=str(failure))
        finally:
            # The release of a claim that is lost in an outage may fail for good. Its model calls are paid for.
            if claim.usage.unwritten:
                self._unwritten.append(claim.usage)
        return Released(retry_at)

    async def write_usage(self) -> None:
        """Write the model calls of attempts whose end could not be written. Raises DatabaseUnavailable."""
        while self._unwritten:
            usage = self._unwritten.pop()
            try:
                async with self._db.statement(usage.tenant_id) as tx:
                    await write_usage(tx, usage, self._clock())
            except DatabaseUnavailable:
                self._unwritten.append(usage)
                raise


def _backoff(claim: Claim) -> float:
    return RETRY_AFTER[min(claim.attempts, len(RETRY_AFTER)) - 1]


def _reason(error: Exception) -> str:
    """Return the error's type and SQLSTATE. Its text may quote a contact."""
    sqlstate = error.diag.sqlstate if isinstance(error, psycopg.Error) else None
    return f"{type(error).__name__} {sqlstate}" if sqlstate else type(error).__name__


def _fenced(claim: Claim) -> Fenced:
    log.warning("turn fenced", conversation_id=str(claim.id), epoch=claim.epoch)
    return Fenced()


def _head(claim: Claim, settlement: Settlement, result: CommitResult, now: datetime) -> OutboxRow | None:
    """Return the first reply as the outbox row that the commit has claimed for this worker."""
    if result.head_id is None or settlement.record is None:
        return None
    return OutboxRow(
        id=result.head_id,
        contact_id=claim.contact_id,
        channel_id=claim.channel_id,
        recipient=claim.contact_address,
        body=settlement.record.replies[0]["body"],
        attempts=1,
        attempted_at=now,
        created_at=now,
        status="sending",
        contact_wrote_at=claim.contact_wrote_at,
    )

"""Send the outbox: in order for each contact, each row once.

A row is posted only from `queued` or `retrying`. If the answer is lost, the row is `unknown`. Only the provider's list,
or a callback with the row's id, decides whether it is posted again.
"""

import asyncio
import random
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

import psycopg
import structlog

from app import db
from app.channels.base import (
    Accepted,
    Gateway,
    LookupFailed,
    LookupUnauthorized,
    NotSent,
    OutgoingMessage,
    Refused,
    SendResult,
    Unauthorized,
    Unknown,
    free_form_allowed,
)
from app.clock import Clock
from app.config import Settings
from app.db import Database, DatabaseUnavailable
from app.errors import RecadoError
from app.fair_slots import FairSlots
from app.identity.service import Channel
from app.outbox import queries
from app.outbox.channel_breaker import ChannelBreaker
from app.outbox.delivery_errors import WINDOW_CLOSED
from app.outbox.lookup import match_listed
from app.outbox.metrics import record_clock_skew
from app.outbox.queries import Claimer, InHand, OutboxRow, SendOutcome
from app.telemetry import Milestone, MilestoneHook

log = structlog.get_logger()

GIVE_UP_AFTER = timedelta(hours=24)
"""The age of a reply that nobody expects any more."""

BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Seconds between tries."""

PATIENCE = 30.0
"""The time in seconds to wait for Postgres while a posted row is not recorded."""

SWEEP_LIMIT = 200
"""Rows that one sweep takes."""

LOOK_EVERY = timedelta(seconds=2)
"""The time between look-ups of a row whose POST was never answered."""

LOCK_LOST = "the worker may have lost its lock"

POSTS_AT_ONCE = 100
POSTS_PER_TENANT = 75
"""A tenant whose posts hang leaves the rest to the others."""


class PostingLease(Protocol):
    """Tells whether other workers believe this one alive. They look up and repeat the posts of a dead one."""

    async def confirm(self, owner: int) -> bool:
        """Return whether a post may begin under the worker's id `owner`."""
        ...

    def guard(self) -> AbstractAsyncContextManager[None]:
        """Cancel the block, and raise TimeoutError, when others may believe this worker dead."""
        ...


class Sender:
    """Sends the rows of contacts: one task for each contact."""

    def __init__(
        self,
        db: Database,
        breaker: ChannelBreaker,
        gateway: Gateway,
        lease: PostingLease,
        clock: Clock,
        settings: Settings,
        on_milestone: MilestoneHook,
    ) -> None:
        self._db = db
        self._breaker = breaker
        self._gateway = gateway
        self._posting_lease = lease
        self._clock = clock
        self._lease = timedelta(seconds=settings.lease)
        self._settle_after = timedelta(seconds=settings.unknown_settle)
        self._give_up_unknown = timedelta(seconds=settings.unknown_window)
        self._fresh = timedelta(seconds=settings.lock_validity)
        self._on_milestone = on_milestone
        self._posts = FairSlots(POSTS_AT_ONCE, POSTS_PER_TENANT)
        self._draining: dict[UUID, asyncio.Task[None]] = {}
        self._next: dict[UUID, tuple[int, OutboxRow | None]] = {}
        self._posted: set[int] = set()
        self._recorded_skew: tuple[int, int] | None = None
        self._check: asyncio.Task[None] | None = None

    def deliver(
        self,
        tenant_id: UUID,
        contact_id: UUID,
        owner: int,
        head: OutboxRow | None = None,
        *,
        lost: datetime | None = None,
    ) -> None:
        """Send a contact's rows, starting with a row that is already claimed, if given.

        If a drain of the contact is running, it continues with that row. Rows that this worker claimed before
        `lost` are in no task's hands, and may be claimed again.
        """
        if contact_id not in self._draining:
            drain = self._drain(tenant_id, contact_id, owner, head, lost)
            self._draining[contact_id] = asyncio.create_task(drain)
        elif head is not None or contact_id not in self._next:
            self._next[contact_id] = (owner, head)

    async def sweep(self, system: Database, owner: int, turns: Collection[UUID]) -> None:
        """Deliver what nobody delivers: a retry, a dead worker's rows, and rows whose claim was lost on the wire.

        `turns`: conversations whose turn may be claiming a row.
        """
        now = self._clock()
        by = self._claimer(owner, now, lost=now)
        in_hand = InHand(turns=list(turns), drains=list(self._draining))
        async with system.statement() as tx:
            found = await queries.sweep(tx, by, in_hand, SWEEP_LIMIT)
        for unsent in found:
            self.deliver(unsent.tenant_id, unsent.contact_id, owner, lost=now)
        await self._record_clock_skew(system, owner)
        if self._check is None or self._check.done():
            self._check = asyncio.create_task(self._breaker.check())

    async def _record_clock_skew(self, system: Database, owner: int) -> None:
        """Store the measured clock skew when it has changed."""
        skew = self._gateway.clock_skew
        if skew is None:
            return
        recorded = (owner, round(skew.total_seconds()))
        if recorded != self._recorded_skew:
            async with system.statement() as tx:
                await record_clock_skew(tx, owner, skew.total_seconds())
            self._recorded_skew = recorded

    async def close(self) -> None:
        """Wait for the drains that run."""
        if self._check is not None:
            await asyncio.wait([self._check])
        while self._draining:
            await asyncio.wait(list(self._draining.values()))

    async def _drain(
        self, tenant_id: UUID, contact_id: UUID, owner: int, head: OutboxRow | None, lost: datetime | None
    ) -> None:
        try:
            row = head or await self._claim(tenant_id, contact_id, owner, lost)
            while row is not None:
                row = await self._one(tenant_id, owner, row)
        except DatabaseUnavailable as error:
            # The row stays as it is; a sweep takes it up when its owner is gone or has lost it.
            log.warning("delivery interrupted", contact_id=str(contact_id), error=str(error))
        except Exception:
            log.exception("delivery failed", contact_id=str(contact_id))
        finally:
            # No await since the last look, so a call of `deliver` finds either a drain to leave word with, or none.
            del self._draining[contact_id]
            if waiting := self._next.pop(contact_id, None):
                self.deliver(tenant_id, contact_id, *waiting)

    async def _claim(self, tenant_id: UUID, contact_id: UUID, owner: int, lost: datetime | None) -> OutboxRow | None:
        async with self._db.statement(tenant_id) as tx:
            return await queries.claim_head(tx, contact_id, self._claimer(owner, self._clock(), lost))

    def _claimer(self, owner: int, now: datetime, lost: datetime | None = None) -> Claimer:
        return Claimer(owner, now, stale=now - self._lease, lost=lost, posted=list(self._posted))

    async def _one(self, tenant_id: UUID, owner: int, row: OutboxRow) -> OutboxRow | None:
        """Post or look up a row, record the outcome, and return the next row if it may be sent at once."""
        self._on_milestone(Milestone.ROW_CLAIMED)
        try:
            channel = await db.retry_while_unavailable(lambda: self._breaker.channel(row.channel_id), within=PATIENCE)
            settlement = await self._post_or_look_up(tenant_id, owner, row, channel)
        except RecadoError as error:
            log.error("channel unusable", channel_id=str(row.channel_id), reason=str(error))
            settlement = self._try_later(row, "channel unusable", at_least=BACKOFF[-1])
        if settlement is None:
            return None
        if settlement.status in ("failed", "unknown") and settlement.error_code is not None:
            log.warning("message not delivered", outbox_id=row.id, **vars(settlement))
        # Once a row is posted, its outcome should not be forgotten because Postgres restarts.
        following = await db.retry_while_unavailable(
            lambda: self._settle(tenant_id, owner, row, settlement), within=PATIENCE
        )
        self._posted.discard(row.id)
        self._on_milestone(Milestone.ROW_SETTLED)
        if settlement.again_at_once(self._clock()):
            return await self._claim(tenant_id, row.contact_id, owner, lost=None)
        return following

    async def _settle(self, tenant_id: UUID, owner: int, row: OutboxRow, settlement: SendOutcome) -> OutboxRow | None:
        by = self._claimer(owner, self._clock())
        try:
            async with self._db.statement(tenant_id) as tx:
                return await queries.settle(tx, row, settlement, by)
        except psycopg.errors.UniqueViolation:
            # Another row with the same text has just been given the message that the look-up found: look again.
            again = SendOutcome("unknown", due_at=self._clock())
            async with self._db.statement(tenant_id) as tx:
                return await queries.settle(tx, row, again, by)

    async def _post_or_look_up(
        self, tenant_id: UUID, owner: int, row: OutboxRow, channel: Channel
    ) -> SendOutcome | None:
        """Return the outcome. None: another worker has taken the row."""
        if row.status == "sending" and self._clock() - row.created_at > GIVE_UP_AFTER:
            return SendOutcome("failed", error_code="too old to be sent")
        if row.status == "sending" and not free_form_allowed(row.contact_wrote_at, self._clock()):
            return SendOutcome("failed", error_code=WINDOW_CLOSED)
        if channel.suspended:
            return self._breaker.hold(channel, _open_status(row), "channel suspended")
        message = OutgoingMessage(row.id, channel.credentials, channel.address, row.recipient, row.body)
        if row.status == "unknown":
            return await self._look_up(tenant_id, row, channel, message)
        async with self._posts.slot(tenant_id):
            if not await self._still_ours(tenant_id, owner, row):
                return None
            if not await self._posting_lease.confirm(owner):
                return SendOutcome("retrying", error_code=LOCK_LOST, due_at=self._clock(), uncounted=True)
            self._posted.add(row.id)
            result = await self._send(message)
        self._on_milestone(Milestone.ROW_POSTED)
        return await self._after_post(row, channel, result)

    async def _send(self, message: OutgoingMessage) -> SendResult:
        """Post a message. A post that runs when the lock may be lost is abandoned: others look the row up by then."""
        try:
            async with self._posting_lease.guard():
                return await self._gateway.send(message)
        except TimeoutError:
            return Unknown(LOCK_LOST)

    async def _after_post(self, row: OutboxRow, channel: Channel, result: SendResult) -> SendOutcome:
        match result:
            case Accepted(provider_sid):
                await self._breaker.sent(channel)
                return SendOutcome("sent", provider_sid=provider_sid)
            case Refused(error_code):
                return SendOutcome("failed", error_code=error_code)
            case Unauthorized(reason):
                return await self._breaker.refused(channel, _open_status(row), reason)
            case NotSent(reason, retry_after):
                return self._try_later(row, reason, at_least=retry_after)
            case Unknown(reason):
                return SendOutcome("unknown", error_code=reason, due_at=self._clock() + LOOK_EVERY)

    async def _look_up(self, tenant_id: UUID, row: OutboxRow, channel: Channel, wanted: OutgoingMessage) -> SendOutcome:
        """Look up a row whose POST was never answered.

        Only a list that is read after the provider had time to show the message proves that it is missing.
        """
        now = self._clock()
        proof_at = (row.abandoned_at or now) + self._settle_after
        try:
            listed = await self._gateway.find(wanted)
        except LookupUnauthorized as error:
            return await self._breaker.refused(channel, _open_status(row), str(error))
        except LookupFailed as error:
            if now > row.attempted_at + self._give_up_unknown:
                return SendOutcome("unknown", error_code=str(error), parked=True)
            return SendOutcome("unknown", error_code=str(error), due_at=self._later(row.attempts, None))
        async with self._db.statement(tenant_id) as tx:
            rows = await queries.rows_of_sids(tx, [message.provider_sid for message in listed])
        if found := match_listed(row.id, listed, rows, now - row.attempted_at):
            return SendOutcome("sent", provider_sid=found)
        if now < proof_at:
            return SendOutcome("unknown", due_at=min(now + LOOK_EVERY, proof_at))
        # The time since the attempt is a part of the pause.
        pause = timedelta(seconds=BACKOFF[min(row.attempts, len(BACKOFF)) - 1])
        return SendOutcome("retrying", error_code="never answered, and not there", due_at=row.attempted_at + pause)

    async def _still_ours(self, tenant_id: UUID, owner: int, row: OutboxRow) -> bool:
        """Return whether this worker may post a row that it claimed some time ago.

        Other workers look a row up once it could have been posted, and may post it themselves. So a row that
        has waited is claimed again.
        """
        now = self._clock()
        if now - row.attempted_at < self._fresh:
            return True
        async with self._db.statement(tenant_id) as tx:
            return await queries.renew(tx, row.id, owner, now)

    def _try_later(self, row: OutboxRow, reason: str, at_least: float | None = None) -> SendOutcome:
        """Return a retry after a pause, or a failure when the reply is too old to be sent."""
        if self._clock() - row.created_at > GIVE_UP_AFTER:
            return SendOutcome("failed", error_code=reason)
        if row.status == "unknown" and reason == "channel unusable":
            return SendOutcome("unknown", error_code=reason, due_at=self._later(row.attempts, at_least))
        return SendOutcome("retrying", error_code=reason, due_at=self._later(row.attempts, at_least))

    def _later(self, attempts: int, at_least: float | None) -> datetime:
        seconds = max(BACKOFF[min(attempts, len(BACKOFF)) - 1], at_least or 0.0)
        return self._clock() + timedelta(seconds=seconds * random.uniform(1.0, 1.2))


def _open_status(row: OutboxRow) -> str:
    """Return the status of a claimed row that waits for another try."""
    return "unknown" if row.status == "unknown" else "retrying"

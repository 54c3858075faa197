"""The circuit breaker of each channel. A channel whose credentials are refused is suspended for all workers.

Its rows are held, without using up attempts. It is probed after growing pauses, and with a new token at once. When the
provider takes the credentials again, the held rows are released in small steps, so that other tenants' rows are not
delayed. The first step is one row, until a message has been sent.
"""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.channels.base import Gateway
from app.clock import Clock
from app.db import Database, DatabaseUnavailable
from app.errors import RecadoError
from app.identity import suspension
from app.identity.service import Channel, Channels
from app.identity.suspension import ChannelCheck
from app.outbox import queries
from app.outbox.queries import SendOutcome

log = structlog.get_logger()

RELEASED_AT_ONCE = 50
"""Rows of one step. Twilio sends 80 messages per second for a number."""

RELEASE_EVERY = timedelta(seconds=0.5)

QUIET_CHECK_EVERY = timedelta(seconds=2)
"""The time between checks by a worker that has found no channel to check for as long."""


class ChannelBreaker:
    """Suspends channels and resumes them. The state is in Postgres."""

    def __init__(self, system: Database, channels: Channels, gateway: Gateway, clock: Clock) -> None:
        self._system = system
        self._channels = channels
        self._gateway = gateway
        self._clock = clock
        self._checked_at = self._found_at = clock()

    async def channel(self, channel_id: UUID) -> Channel:
        """Return a channel. Whether it is suspended is read again before it is believed. Raises NotFoundError."""
        channel = await self._channels.by_id(channel_id)
        return await self._channels.by_id(channel_id, fresh=True) if channel.suspended else channel

    def hold(self, channel: Channel, status: str, reason: str) -> SendOutcome:
        """Return the outcome of a row that waits for a suspended channel."""
        return SendOutcome(status, error_code=reason, due_at=self._clock(), hold_for=channel.id, uncounted=True)

    async def refused(self, channel: Channel, status: str, reason: str) -> SendOutcome:
        """Suspend a channel whose credentials were refused, and return the outcome of the row.

        If the channel has got a new token since it was read, it is not suspended, and the row is tried again.
        """
        latest = await self._channels.by_id(channel.id, fresh=True)
        if latest.credentials == channel.credentials:
            async with self._system.statement() as tx:
                suspended = await suspension.suspend(tx, channel.id, reason, self._clock())
            if suspended:
                log.error("channel suspended", channel_id=str(channel.id), reason=reason)
            await self._channels.by_id(channel.id, fresh=True)
        return self.hold(channel, status, reason)

    async def sent(self, channel: Channel) -> None:
        """Note that a message was sent through a channel."""
        if channel.refusals:
            async with self._system.statement() as tx:
                await suspension.forget_refusals(tx, channel.id)
            await self._channels.by_id(channel.id, fresh=True)

    async def check(self) -> None:
        """Probe the suspended channels whose pause is over, and release rows of those that are good again."""
        now = self._clock()
        if now - self._found_at > QUIET_CHECK_EVERY > now - self._checked_at:
            return
        self._checked_at = now
        try:
            async with self._system.statement() as tx:
                checks = await suspension.claim_checks(tx, now)
        except DatabaseUnavailable as error:
            log.warning("channels not checked", error=type(error).__name__)
            return
        except Exception:
            log.exception("channels not checked")
            return
        if checks:
            self._found_at = now
        await asyncio.gather(*(self._check_one(due, now) for due in checks))

    async def _check_one(self, due: ChannelCheck, now: datetime) -> None:
        try:
            await (self._probe(due, now) if due.suspended else self._release(due, now))
        except (DatabaseUnavailable, RecadoError) as error:
            log.warning("channel not checked", channel_id=str(due.id), error=type(error).__name__)
        except Exception:
            log.exception("channel check failed", channel_id=str(due.id))

    async def _probe(self, due: ChannelCheck, now: datetime) -> None:
        channel = await self._channels.by_id(due.id, fresh=True)
        taken = await self._gateway.takes_credentials(channel.credentials)
        refusals = due.refusals + (taken is False)
        async with self._system.statement() as tx:
            if taken:
                await suspension.resume(tx, due.id, now)
            else:
                await suspension.postpone_probe(tx, due.id, refusals, suspension.probe_at(now, refusals))
        log.warning("channel resumed" if taken else "channel still suspended", channel_id=str(due.id))

    async def _release(self, due: ChannelCheck, now: datetime) -> None:
        async with self._system.statement() as tx:
            released = await queries.release_held(tx, due.id, now, 1 if due.refusals else RELEASED_AT_ONCE)
            await suspension.continue_release(tx, due.id, now + RELEASE_EVERY if released else None)

"""One asyncio loop that runs any number of turns: nudges and sweeps come in, conversations are drained.

A nudge is only a hint. What decides is the claim, and whatever is missed here, a sweep finds.
"""

import asyncio
import random
from datetime import timedelta
from uuid import UUID

import structlog

from app.clock import Clock
from app.config import Settings
from app.db import DB_UNAVAILABLE, Database
from app.outbox import service as outbox
from app.outbox.service import Sender
from app.turns import queries
from app.turns.queries import Sweep
from app.turns.service import Turns
from app.turns.worker_lease import Registration

log = structlog.get_logger()

SWEPT_AT_ONCE = 200
LEFT_TO_NUDGES = timedelta(seconds=1)
"""How long a due conversation is left to its nudge before a sweep takes it."""

LOST_MARGIN = timedelta(seconds=10)
"""No turn in flight is older than its time limit and this."""

Address = tuple[UUID, UUID]
"""Tenant and conversation."""


class Engine:
    """Drains conversations: at most one task each, a bounded number at work. Lives in one event loop."""

    def __init__(
        self,
        turns: Turns,
        sender: Sender,
        registration: Registration,
        system: Database,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._turns = turns
        self._sender = sender
        self._registration = registration
        self._system = system
        self._clock = clock
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.turns_in_flight)
        self._draining: dict[Address, asyncio.Task[None]] = {}
        self._nudged_again: set[Address] = set()
        self._timers: dict[Address, asyncio.TimerHandle] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False

    def start(self) -> None:
        """Starts sweeping."""
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self, timeout: float | None = None) -> None:
        """Takes nothing new, and waits for the turns in flight and their replies; gives up after `timeout` seconds."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        for timer in self._timers.values():
            timer.cancel()
        if self._draining:
            _, unfinished = await asyncio.wait(self._draining.values(), timeout=timeout)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished, timeout=10)
        await self._sender.close()

    def nudge(self, tenant_id: UUID, conversation_id: UUID, due: float = 0.0) -> None:
        """Says that a conversation may have something due at `due` (epoch seconds). Early nudges wait here."""
        address = (tenant_id, conversation_id)
        wait = due - self._clock().timestamp()
        if self._closing:
            return
        if wait > 0:
            self._set_timer(address, wait)
        elif address in self._draining:
            self._nudged_again.add(address)
        else:
            self._draining[address] = asyncio.create_task(self._drain(address))

    @property
    def in_flight(self) -> int:
        """Conversations being drained, or waiting for their turn to be."""
        return len(self._draining)

    def _set_timer(self, address: Address, wait: float) -> None:
        if timer := self._timers.get(address):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[address] = loop.call_later(wait, self._timer_fired, address)

    def _timer_fired(self, address: Address) -> None:
        self._timers.pop(address, None)
        self.nudge(*address)

    async def _drain(self, address: Address) -> None:
        try:
            async with self._slots:
                await self._take_turns(address)
        except (*DB_UNAVAILABLE, OSError) as error:
            log.warning("drain interrupted", conversation_id=str(address[1]), error=type(error).__name__)
        except Exception:
            log.exception("drain failed", conversation_id=str(address[1]))
        finally:
            # No await since the last look, so a nudge finds either a drain that will look again, or none.
            del self._draining[address]
            self._nudged_again.discard(address)

    async def _take_turns(self, address: Address) -> None:
        tenant_id, conversation_id = address
        while not self._closing:
            owner = self._registration.worker_id
            if owner is None:
                return
            self._nudged_again.discard(address)
            taken = await self._turns.take(tenant_id, conversation_id, owner)
            if taken.spoke:
                self._sender.deliver(tenant_id, conversation_id, owner, taken.head)
            if taken.pending and taken.due_at is not None:
                wait = (taken.due_at - self._clock()).total_seconds()
                if wait > 0:
                    self._set_timer(address, wait)
                elif taken.claimable:
                    continue
            if address not in self._nudged_again:
                return

    async def _sweep_for_ever(self) -> None:
        while True:
            # Workers that started together should not sweep together.
            await asyncio.sleep(self._settings.sweep_interval * random.uniform(0.8, 1.2))
            try:
                await self.sweep()
            except (*DB_UNAVAILABLE, OSError) as error:
                log.warning("sweep failed", error=type(error).__name__)
            except Exception:
                # Whatever it was: a worker that no longer sweeps leaves the dead ones' turns lying.
                log.exception("sweep failed")

    async def sweep(self) -> None:
        """Takes up what was missed: lost nudges, dead workers' turns, retries that are due, unsent replies."""
        owner, room = self._registration.worker_id, self._settings.turns_in_flight - self.in_flight
        if owner is None:
            return
        now = self._clock()
        lease = timedelta(seconds=self._settings.lease)
        if room > 0:
            async with self._system.statement() as tx:
                waiting = await queries.sweep(
                    tx,
                    Sweep(
                        owner=owner,
                        now=now,
                        left_to_nudges=now - LEFT_TO_NUDGES,
                        stale=now - lease,
                        lost=now - timedelta(seconds=self._settings.turn_timeout) - LOST_MARGIN,
                        limit=min(room, SWEPT_AT_ONCE),
                    ),
                )
            for found in waiting:
                self.nudge(found.tenant_id, found.conversation_id)
        for unsent in await outbox.sweep(self._system, owner, now, lease, SWEPT_AT_ONCE):
            self._sender.deliver(unsent.tenant_id, unsent.conversation_id, owner)

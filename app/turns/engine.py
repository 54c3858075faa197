"""Drain conversations in one asyncio loop. Nudges and sweeps say which conversations may be due; the claim decides."""

import asyncio
import random
from collections import Counter
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from app.background import Heartbeats, Periodic
from app.clock import Clock
from app.config import Settings
from app.db import Database, DatabaseUnavailable
from app.fair_slots import FairSlots
from app.outbox.service import Sender
from app.turns.claim import Unclaimed
from app.turns.outcome import Committed, Fenced, Folded, Outcome, Released
from app.turns.sweep import SweepLimits, find_due
from app.turns.turn import Turns
from app.turns.worker_lease import WorkerLease

log = structlog.get_logger()

SWEEP_LIMIT = 200
"""Conversations that one sweep takes."""

NUDGE_MARGIN = timedelta(seconds=1)
"""The time that a nudge has to arrive before a sweep takes the conversation."""

TIMER_MARGIN = 0.002
"""Seconds. The loop rounds its timers, and a claim that comes too early is a round trip for nothing."""

TENANT_SHARE = 0.75
"""The part of the slots that one tenant may take. The rest is free at once for the others."""

STARTS_PER_CYCLE = 4
"""Turns that begin in one cycle of the event loop. A turn takes some ten cycles."""

WAITING_PER_TENANT = 500
"""Conversations of a tenant that wait for a slot in this worker. Sweeps find the others when there is room again."""

Address = tuple[UUID, UUID]
"""The ids of a tenant and of its conversation."""


class Engine:
    """Drains conversations: one task for each, a bounded number of turns at once. Lives in one event loop."""

    def __init__(
        self,
        turns: Turns,
        sender: Sender,
        lease: WorkerLease,
        system: Database,
        clock: Clock,
        settings: Settings,
        heartbeats: Heartbeats,
    ) -> None:
        self._turns = turns
        self._sender = sender
        self._lease = lease
        self._system = system
        self._clock = clock
        self._settings = settings
        per_tenant = max(1, int(settings.turns_in_flight * TENANT_SHARE))
        self._slots = FairSlots(settings.turns_in_flight, per_tenant, STARTS_PER_CYCLE)
        self._most_per_tenant = per_tenant + WAITING_PER_TENANT
        self._suspects = asyncio.Lock()
        self._draining: dict[Address, asyncio.Task[None]] = {}
        self._by_tenant: Counter[UUID] = Counter()
        self._nudged_again: set[Address] = set()
        self._timers: dict[Address, asyncio.TimerHandle] = {}
        # Each sweep is a task of its own, so that one that fails does not keep the other from going on.
        self._sweepers = [
            Periodic(heartbeats.of("sweeper"), self._sweep_pause, self._sweep_turns, (DatabaseUnavailable,)),
            Periodic(heartbeats.of("sender"), self._sweep_pause, self._sweep_outbox, (DatabaseUnavailable,)),
        ]
        self._closing = False

    def start(self) -> None:
        """Start the sweeps."""
        for sweeper in self._sweepers:
            sweeper.start()

    async def close(self, timeout: float | None = None) -> None:
        """Stop taking conversations, and wait for the running turns and their replies.

        Turns that still run after `timeout` seconds are cancelled and released.
        """
        self._closing = True
        for sweeper in self._sweepers:
            await sweeper.close()
        for timer in self._timers.values():
            timer.cancel()
        if self._draining:
            _, unfinished = await asyncio.wait(self._draining.values(), timeout=timeout)
            for task in unfinished:
                task.cancel()
            if unfinished:
                await asyncio.wait(unfinished, timeout=10)
        await self._sender.close()
        try:
            await self._turns.write_usage()
        except DatabaseUnavailable as error:
            log.error("usage lost", error=str(error))

    def nudge(self, tenant_id: UUID, conversation_id: UUID, due: float = 0.0) -> None:
        """Drain a conversation that may have a row due at `due` (epoch seconds). Early nudges wait until then.

        The nudge of a tenant with too many waiting conversations is dropped. A sweep finds the conversation later.
        """
        address = (tenant_id, conversation_id)
        wait = due - self._clock().timestamp()
        if self._closing:
            return
        if wait > 0:
            self._set_timer(address, wait)
        elif address in self._draining:
            self._nudged_again.add(address)
        elif self._by_tenant[tenant_id] < self._most_per_tenant:
            self._by_tenant[tenant_id] += 1
            self._draining[address] = asyncio.create_task(self._drain(address))

    @property
    def in_flight(self) -> int:
        """The number of conversations that are drained or wait for a slot."""
        return len(self._draining)

    def _set_timer(self, address: Address, wait: float) -> None:
        if timer := self._timers.get(address):
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._timers[address] = loop.call_later(wait + TIMER_MARGIN, self._fire_timer, address)

    def _fire_timer(self, address: Address) -> None:
        self._timers.pop(address, None)
        self.nudge(*address)

    async def _drain(self, address: Address) -> None:
        try:
            async with self._slots.slot(address[0]):
                suspect = await self._take_turns(address)
            if suspect:
                async with self._suspects, self._slots.slot(address[0]):
                    await self._take_turns(address, alone=True)
        except DatabaseUnavailable as error:
            log.warning("drain interrupted", conversation_id=str(address[1]), error=str(error))
        except Exception:
            log.exception("drain failed", conversation_id=str(address[1]))
        finally:
            # There is no await since the last check, so a nudge meets a drain that checks again, or no drain.
            del self._draining[address]
            self._by_tenant[address[0]] -= 1
            if not self._by_tenant[address[0]]:
                del self._by_tenant[address[0]]
            self._nudged_again.discard(address)

    async def _take_turns(self, address: Address, *, alone: bool = False) -> bool:
        """Take turns until none is due. Return whether the conversation is a suspect, which has to run alone."""
        tenant_id, conversation_id = address
        while not self._closing:
            owner = self._lease.worker_id
            if owner is None:
                return False
            self._nudged_again.discard(address)
            outcome = await self._turns.take(tenant_id, conversation_id, owner, alone=alone)
            if isinstance(outcome, Unclaimed) and outcome.suspect:
                return True
            if isinstance(outcome, Committed) and outcome.has_replies:
                self._sender.deliver(tenant_id, outcome.contact_id, owner, outcome.head)
            if not self._is_due_again(address, outcome) and address not in self._nudged_again:
                return False
        return False

    def _is_due_again(self, address: Address, outcome: Outcome) -> bool:
        """Return whether to take the next turn at once. Set a timer when it is due later."""
        due_at: datetime | None
        match outcome:
            case Folded():
                return True
            case Fenced():
                return False
            case Released(retry_at):
                due_at = retry_at
            case Committed(pending=pending, due_at=next_due) | Unclaimed(pending, next_due):
                due_at = next_due if pending else None
        if due_at is None:
            return False
        wait = (due_at - self._clock()).total_seconds()
        if wait > 0:
            self._set_timer(address, wait)
            return False
        # A live owner takes the next turn itself. A conversation without one has become due since the claim.
        return isinstance(outcome, Committed) or (isinstance(outcome, Unclaimed) and not outcome.owned)

    def _sweep_pause(self) -> float:
        # Jitter, so that workers which started together do not sweep together.
        return self._settings.sweep_interval * random.uniform(0.8, 1.2)

    async def sweep(self) -> None:
        """Take conversations whose nudge was lost, whose worker died, or whose retry is due, and unsent replies.

        Write the usage that an outage has left unwritten.
        """
        await self._sweep_turns()
        await self._sweep_outbox()

    async def _sweep_turns(self) -> None:
        owner = self._lease.worker_id
        if owner is None:
            return
        now = self._clock()
        limits = SweepLimits(
            owner=owner,
            now=now,
            unnudged=now - NUDGE_MARGIN,
            stale=now - timedelta(seconds=self._settings.lease),
            in_hand=self._in_hand(),
            full_tenants=[tenant for tenant, count in self._by_tenant.items() if count >= self._most_per_tenant],
            limit=SWEEP_LIMIT,
        )
        async with self._system.statement() as tx:
            due = await find_due(tx, limits)
        for conversation in due:
            self.nudge(conversation.tenant_id, conversation.conversation_id)
        await self._turns.write_usage()

    async def _sweep_outbox(self) -> None:
        if (owner := self._lease.worker_id) is not None:
            await self._sender.sweep(self._system, owner, self._in_hand())

    def _in_hand(self) -> list[UUID]:
        return [conversation_id for _, conversation_id in self._draining]

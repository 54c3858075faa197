"""What tests of turns do again and again, through the system's doors."""

import asyncio
import itertools
import threading
import uuid
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import UUID

from app import broker, worker
from app.broker import Nudger
from app.channels.base import InboundMessage
from app.db import Database, Role
from app.inbox.service import Inbox
from app.telemetry import Milestone
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, Platform

THREADS = ThreadPoolExecutor(4, "elsewhere")


async def ask(platform: Platform, *texts: str, contact: str = CONTACT, replies: int = 1) -> list[str]:
    """The contact writes, and so many replies come back."""
    before = len(await platform.delivered(contact))
    for text in texts:
        await platform.say(text, contact=contact)
    await platform.nudge()
    return (await platform.replies(before + replies, contact))[before:]


async def said(platform: Platform, text: str, contact: str = CONTACT) -> list[str]:
    """The contact writes, and whatever is to happen happens: all that the contact has got since."""
    before = len(await platform.delivered(contact))
    await platform.say(text, contact=contact)
    await done(platform)
    return (await platform.delivered(contact))[before:]


async def done(platform: Platform) -> None:
    """Waits until nothing more is to be done now."""
    await platform.nudge()
    await platform.quiet()


async def recovered(platform: Platform, count: int, *, patience: float = 900) -> list[str]:
    """Moves the clock on until the contact has so many replies and all is quiet; at most `patience` seconds."""
    assert platform.engine is not None
    for _ in range(int(patience / 15)):
        await platform.engine.sweep()
        await asyncio.sleep(0.05)
        if len(await platform.delivered()) >= count and not await _unsettled(platform):
            break
        platform.clock.advance(15)
    await platform.quiet()
    return await platform.delivered()


async def _unsettled(platform: Platform) -> bool:
    return bool(
        await platform.rows(
            """select 1 from conversations where pending > 0 or owner is not null
               union all select 1 from outbox where status in ('queued', 'sending', 'retrying', 'unknown')"""
        )
    )


# Operators and timers.


def _inbox(platform: Platform) -> Inbox:
    # Nobody takes its nudges: the tests tell the engine themselves.
    nudger = Nudger(broker.make_broker(platform.settings.redis_url))
    return Inbox(platform.system, platform.system, nudger, platform.clock)


async def pending_interrupt(platform: Platform) -> dict[str, Any]:
    """The one interrupt that waits for an operator."""
    return await platform.row("select * from interrupts where resolved_at is null")


async def decide(platform: Platform, action: str, reply: str | None = None) -> None:
    """An operator decides about what waits."""
    waiting = await pending_interrupt(platform)
    await _inbox(platform).decide(waiting["tenant_id"], waiting["id"], {"action": action, "reply": reply})


async def fire_timers(platform: Platform) -> int:
    """What the scheduler does at every tick."""
    return await _inbox(platform).fire_timers()


async def fire_timers_elsewhere(platform: Platform) -> int:
    """The same in another process's place, with connections of its own."""
    async with Database(platform.settings.database_url, role=Role.SYSTEM, size=1) as system:
        nudger = Nudger(broker.make_broker(platform.settings.redis_url))
        return await Inbox(system, system, nudger, platform.clock).fire_timers()


# What happens elsewhere while this process stands still.


def elsewhere(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Runs to its end in a loop of its own. Called at a milestone, it happens between two instants of this process."""
    THREADS.submit(asyncio.run, work()).result(60)


async def receive(platform: Platform, body: str, contact: str = CONTACT) -> None:
    """A message comes in through another process."""
    url = platform.settings.database_url
    async with Database(url, role=Role.SYSTEM, size=1) as system:
        async with system.statement() as tx:
            channel = await tx.one(dict, "select id, tenant_id from channels where address = %(a)s", {"a": NUMBER})
        assert channel is not None
        nudger = Nudger(broker.make_broker(platform.settings.redis_url))
        inbox = Inbox(system, system, nudger, platform.clock)
        message = InboundMessage(ACCOUNT_SID, f"SM{uuid.uuid4().hex}", contact, NUMBER, body, None, {})
        assert await inbox.receive(channel["tenant_id"], channel["id"], message)


class OtherWorker:
    """Another worker, in a thread of its own, that takes what is to be had when it is called for."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._started: list[Future[None]] = []

    def takes_over(self, *, wait_for: Milestone | None = None, patience: float = 0) -> None:
        """Returns when it has finished and is gone, or, to go on beside it, when it has passed a milestone.

        `patience`: for so many seconds of the tests' clock it tries to get rid of what is unsent.
        """
        passed = threading.Event()

        def reached(milestone: Milestone) -> None:
            if milestone is wait_for:
                passed.set()

        future = THREADS.submit(asyncio.run, self._work(reached, patience))
        self._started.append(future)
        if wait_for is None:
            future.result(60)
        else:
            assert passed.wait(60), f"the other worker never came to {wait_for}"

    async def gone(self) -> None:
        """Waits until it has finished whatever it took."""
        await asyncio.gather(*map(asyncio.wrap_future, self._started))

    async def _work(self, reached: Callable[[Milestone], None], patience: float) -> None:
        clock, url = self._platform.clock, self._platform.settings.database_url
        async with worker.engine(self._platform.settings, clock=clock, on_milestone=reached) as engine:
            await engine.sweep()
            for found in await _waiting(url):
                engine.nudge(*found)
            while engine.in_flight:
                await asyncio.sleep(0.01)
            while patience > 0 and await _unsent(url):
                clock.advance(2)
                patience -= 2
                await engine.sweep()
                await asyncio.sleep(0.02)


async def _unsent(url: str) -> bool:
    async with Database(url, role=Role.SYSTEM, size=1) as system, system.statement() as tx:
        return bool(await tx.all(dict, "select 1 from outbox where provider_sid is null", {}))


async def _waiting(url: str) -> list[tuple[UUID, UUID]]:
    async with Database(url, role=Role.SYSTEM, size=1) as system, system.statement() as tx:
        rows = await tx.all(dict, "select tenant_id, id from conversations where pending > 0", {})
    return [(row["tenant_id"], row["id"]) for row in rows]


def once(milestone: Milestone, act: Callable[[], None], *, at: int = 1) -> Callable[[Milestone], None]:
    """Acts when the milestone is passed for the `at`th time, and never again."""
    passed = itertools.count(1)

    def reached(reached_now: Milestone) -> None:
        if reached_now is milestone and next(passed) == at:
            act()

    return reached

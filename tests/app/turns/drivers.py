"""Drive conversations in tests: messages, operators, timers, and a second worker."""

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
from app.inbox import service as inbox_service
from app.inbox.service import Inbox
from app.telemetry import Milestone
from app.turns.turn import RETRY_AFTER
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, Platform

THREADS = ThreadPoolExecutor(4, "other-process")


async def ask(platform: Platform, *texts: str, contact: str = CONTACT, replies: int = 1) -> list[str]:
    """Send messages of the contact, and return the next `replies` replies."""
    before = len(await platform.delivered(contact))
    for text in texts:
        await platform.say(text, contact=contact)
    await platform.nudge()
    return (await platform.replies(before + replies, contact))[before:]


async def replies_to(platform: Platform, text: str, contact: str = CONTACT) -> list[str]:
    """Send a message of the contact, run everything that is due, and return the replies since then."""
    before = len(await platform.delivered(contact))
    await platform.say(text, contact=contact)
    await drain(platform)
    return (await platform.delivered(contact))[before:]


async def drain(platform: Platform) -> None:
    """Run everything that is due."""
    await platform.nudge()
    await platform.quiet()


async def recover(platform: Platform, count: int, *, patience: float = 900) -> list[str]:
    """Advance the clock until the contact has `count` replies and nothing is due, by `patience` seconds at most."""
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


async def attempts_until_parked(platform: Platform, text: str | None = None) -> int:
    """Run the turn until it is parked, and return the number of attempts."""
    if text is not None:
        await platform.say(text)
    first = platform.reached.count(Milestone.TURN_CLAIMED)
    await platform.nudge()
    for _ in range(20):
        await platform.until(lambda: engine_is_idle(platform), "the try to end")
        if not await platform.rows("select 1 from conversations where pending > 0"):
            break
        platform.clock.advance(max(RETRY_AFTER) + 1)
        await platform.nudge()
    await platform.quiet()
    return platform.reached.count(Milestone.TURN_CLAIMED) - first - 1


async def engine_is_idle(platform: Platform) -> bool:
    assert platform.engine is not None
    return platform.engine.in_flight == 0


async def models_asked(platform: Platform) -> int:
    """Return the number of requests that the model server has."""
    return len((await platform.control(platform.servers.model, "requests?limit=1000"))["requests"])


# Operators and timers.


def inbox_of(platform: Platform) -> Inbox:
    """Return an inbox for operators' decisions and contacts' messages."""
    # No worker consumes these nudges: the tests nudge the engine directly.
    nudger = Nudger(broker.make_broker(platform.settings.redis_url))
    return Inbox(platform.system, nudger, platform.clock)


async def pending_interrupt(platform: Platform) -> dict[str, Any]:
    """Return the row of the only open interrupt."""
    return await platform.row("select * from interrupts where resolved_at is null")


async def decide(platform: Platform, action: str, reply: str | None = None) -> None:
    """Resolve the only open interrupt as an operator."""
    waiting = await pending_interrupt(platform)
    await inbox_of(platform).decide(waiting["tenant_id"], waiting["id"], {"action": action, "reply": reply})


async def fire_timers(platform: Platform) -> int:
    """Fire the due timers, as the scheduler does at every tick."""
    nudger = Nudger(broker.make_broker(platform.settings.redis_url))
    return await inbox_service.fire_timers(platform.system, nudger, platform.clock)


async def fire_timers_from_other_process(platform: Platform) -> int:
    """Fire the due timers on connections that are not shared with the worker under test."""
    async with Database(platform.settings.system_database_url, role=Role.SYSTEM, size=1) as system:
        nudger = Nudger(broker.make_broker(platform.settings.redis_url))
        return await inbox_service.fire_timers(system, nudger, platform.clock)


# Other processes, which run while the event loop of the test is blocked.


def from_other_process(work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Run a coroutine to its end in the loop of another thread, as another process would. Blocks this loop."""
    THREADS.submit(asyncio.run, work()).result(60)


async def receive(platform: Platform, body: str, contact: str = CONTACT) -> None:
    """Store a message as another API process would."""
    url = platform.settings.system_database_url
    async with Database(url, role=Role.SYSTEM, size=1) as system:
        async with system.statement() as tx:
            channel = await tx.one(dict, "select id, tenant_id from channels where address = %(a)s", {"a": NUMBER})
        assert channel is not None
        nudger = Nudger(broker.make_broker(platform.settings.redis_url))
        inbox = Inbox(system, nudger, platform.clock)
        message = InboundMessage(ACCOUNT_SID, f"SM{uuid.uuid4().hex}", contact, NUMBER, body, None, {})
        assert await inbox.receive(channel["tenant_id"], channel["id"], message)


class OtherWorker:
    """Another worker, in a thread, that takes the due conversations when it is told to."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._started: list[Future[None]] = []

    def take_over(self, *, wait_for: Milestone | None = None, patience: float = 0) -> None:
        """Run the other worker until it has ended, or, to run beside it, until it passes the milestone `wait_for`.

        For `patience` seconds of the tests' clock it sends what is unsent.
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
            assert passed.wait(60), f"the other worker did not pass {wait_for}"

    async def wait_until_ended(self) -> None:
        """Wait until it has finished its turns."""
        await asyncio.gather(*map(asyncio.wrap_future, self._started))

    async def _work(self, reached: Callable[[Milestone], None], patience: float) -> None:
        clock, url = self._platform.clock, self._platform.settings.system_database_url
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
    """Return a milestone hook that calls `act` when the milestone is passed for the `at`th time."""
    passed = itertools.count(1)

    def reached(reached_now: Milestone) -> None:
        if reached_now is milestone and next(passed) == at:
            act()

    return reached

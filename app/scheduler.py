"""The scheduler process: turns timers into inbox rows, and keeps the tables small. Several may run."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

from app import broker, database_clock, db, health, telemetry
from app.background import Heartbeat, Heartbeats
from app.broker import Nudger
from app.clock import Clock
from app.config import Settings
from app.db import DatabaseUnavailable
from app.inbox.service import TIMERS_AT_ONCE, fire_timers
from app.retention.service import keep_up

log = structlog.get_logger()

REQUIRED_ENV = ("SYSTEM_DATABASE_URL", "REDIS_URL")
TICK = 1.0
"""Seconds between polls for timers."""
UPKEEP_EVERY = 60.0
"""Seconds between two looks for what upkeep has to do."""
UPKEEP_PAUSE = 0.1
"""Seconds between two batches of upkeep, in which the statements of turns have Postgres for themselves."""


async def run(settings: Settings, *, clock: Clock | None = None, health_at: health.Address | None = None) -> None:
    """Fire timers and keep the tables small until SIGTERM or SIGINT. Tell at `health_at` how the process is.

    Without a `clock` it goes by Postgres's.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    heartbeats = Heartbeats()
    nudger = Nudger(broker.make_broker(settings.redis_url), heartbeats)
    async with (
        db.system_database(settings, size=2) as system,
        database_clock.following(clock, system, heartbeats) as now,
        health.serve(heartbeats, health_at),
    ):
        nudger.start()
        telemetry.announce("recado scheduler ready")

        async def fire() -> bool:
            return await fire_timers(system, nudger, now) >= TIMERS_AT_ONCE

        async def upkeep() -> bool:
            return await keep_up(system, now())

        # If a task ends although `_repeat` catches errors, the process ends, and its supervisor starts another.
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_repeat(heartbeats.of("scheduler"), fire, stop, TICK, pause=0.0))
            tasks.create_task(_repeat(heartbeats.of("upkeep"), upkeep, stop, UPKEEP_EVERY, pause=UPKEEP_PAUSE))
        nudger.close()


async def _repeat(
    heartbeat: Heartbeat, work: Callable[[], Awaitable[bool]], stop: asyncio.Event, every: float, *, pause: float
) -> None:
    """Do the work until `stop`, again after `pause` seconds while it returns True, and otherwise after `every`."""
    while not stop.is_set():
        more = False
        heartbeat.beat()
        try:
            more = await work()
        except DatabaseUnavailable as error:
            log.warning(f"{heartbeat.task} failed", error=str(error))
        except Exception:
            # Polls must go on: a process that ends fires no timer at all.
            log.exception(f"{heartbeat.task} failed")
        heartbeat.rest()
        await _wait(stop, pause if more else every)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

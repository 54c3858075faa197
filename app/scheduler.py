"""The scheduler process: turns timers into inbox rows. Several may run; each timer fires once."""

import asyncio
import signal

import structlog

from app import broker
from app.broker import Nudger
from app.clock import Clock, utc_now
from app.config import Settings
from app.db import Database, DatabaseUnavailable, Role
from app.inbox.service import TIMERS_AT_ONCE, fire_timers

log = structlog.get_logger()

REQUIRED_ENV = ("DATABASE_URL", "REDIS_URL")
TICK = 1.0
"""Seconds between polls."""


async def run(settings: Settings, *, clock: Clock = utc_now) -> None:
    """Fire timers until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    nudger = Nudger(broker.make_broker(settings.redis_url))
    async with Database(settings.database_url, role=Role.SYSTEM, size=2) as system:
        nudger.start()
        print("recado scheduler ready", flush=True)
        while not stop.is_set():
            if await _fire_timers(system, nudger, clock) < TIMERS_AT_ONCE:
                await _wait(stop, TICK)
        nudger.close()


async def _fire_timers(system: Database, nudger: Nudger, clock: Clock) -> int:
    """Fire the due timers and return their number, 0 after an error. The next poll finds what was not fired."""
    try:
        return await fire_timers(system, nudger, clock)
    except DatabaseUnavailable as error:
        log.warning("timers not fired", error=str(error))
    except Exception:
        # Polls must go on: a process that ends fires no timer at all.
        log.exception("timers not fired")
    return 0


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return

"""Postgres's clock, so that all processes agree on what is due, however wrong the clocks of their machines are."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from app.background import Heartbeats, Periodic
from app.clock import Clock
from app.db import Database, DatabaseUnavailable

COMPARE_EVERY = 10.0
"""Seconds between two comparisons. A machine that was suspended is wrong for so long at most."""
LONGEST_TRIP = 0.25
"""Seconds. A comparison that takes longer, whose error is larger, is used only if it differs by more than it took."""


@dataclass(frozen=True)
class _Now:
    now: datetime


class DatabaseClock:
    """Returns Postgres's time. Between comparisons it counts the seconds that pass on this machine."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._known: tuple[float, datetime] | None = None

    def __call__(self) -> datetime:
        """Return the current time, aware, in UTC. Needs one comparison before."""
        return self._at(self._seconds())

    def _at(self, seconds: float) -> datetime:
        assert self._known is not None, "the clock is compared before it is used"
        at, then = self._known
        return then + timedelta(seconds=seconds - at)

    @classmethod
    async def of(cls, database: Database) -> Self:
        """Return a clock that was compared. Raises DatabaseUnavailable."""
        clock = cls()
        await clock.compare(database)
        return clock

    async def compare(self, database: Database) -> None:
        """Ask Postgres for the time. Raises DatabaseUnavailable."""
        async with database.statement() as tx:
            # The first statement of a connection may wait for the connection: the second is on its way at once.
            await tx.one(_Now, "select clock_timestamp() as now", {})
            sent = self._seconds()
            answer = await tx.one(_Now, "select clock_timestamp() as now", {})
            received = self._seconds()
        assert answer is not None
        at, trip = (sent + received) / 2, received - sent
        if self._known is None or trip <= LONGEST_TRIP or abs(self._at(at) - answer.now) > timedelta(seconds=trip):
            self._known = at, answer.now


@asynccontextmanager
async def following(clock: Clock | None, database: Database, heartbeats: Heartbeats) -> AsyncIterator[Clock]:
    """Yield the clock that was given, or else Postgres's, compared again and again during the block."""
    if clock is not None:
        yield clock
        return
    found = await DatabaseClock.of(database)
    comparing = Periodic(
        heartbeats.of("clock"), lambda: COMPARE_EVERY, lambda: found.compare(database), expected=(DatabaseUnavailable,)
    )
    comparing.start()
    try:
        yield found
    finally:
        await comparing.close()

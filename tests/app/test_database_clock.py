"""All processes go by Postgres's clock, whatever the clocks of their machines say."""

import ast
from datetime import timedelta
from pathlib import Path

import pytest

from app import worker
from app.background import Heartbeats
from app.database_clock import LONGEST_TRIP, DatabaseClock, following
from app.db import Database, Role
from devkit.database_urls import DatabaseUrls
from tests.platform import Platform, TestClock

ROOT = Path(__file__).parents[2]
MACHINES_TIME = {
    "utc_now",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.time",
    "time.time_ns",
}
"""Functions that read the clock of this machine."""


class Stopwatch:
    """Seconds that pass only when they are told to. `trip` passes between the two looks of a comparison."""

    def __init__(self) -> None:
        self.at = 1_000_000.0
        self.trip = 0.0
        self._looks = 0

    def __call__(self) -> float:
        self._looks += 1
        self.at += self.trip if self._looks % 2 == 0 else 0.0
        return self.at


@pytest.fixture
def stopwatch() -> Stopwatch:
    """The seconds of a machine."""
    return Stopwatch()


async def test_a_clock_counts_on_from_postgres(urls: DatabaseUrls, stopwatch: Stopwatch) -> None:
    clock = DatabaseClock(stopwatch)
    async with Database(urls.system, role=Role.SYSTEM, size=1) as database:
        await clock.compare(database)
        first = clock()
        real = await DatabaseClock.of(database)
        assert abs(real() - first) < timedelta(seconds=30)
    stopwatch.at += 3600
    assert clock() - first == timedelta(hours=1)


async def test_a_slow_comparison_is_not_used(urls: DatabaseUrls, stopwatch: Stopwatch) -> None:
    clock = DatabaseClock(stopwatch)
    async with Database(urls.system, role=Role.SYSTEM, size=1) as database:
        await clock.compare(database)
        known, stopwatch.trip = clock._known, 2 * LONGEST_TRIP
        await clock.compare(database)
        assert clock._known == known, "its error is larger than the difference"
        stopwatch.trip = 0.0
        await clock.compare(database)
        assert clock._known != known


async def test_a_slow_link_does_not_keep_a_wrong_time(urls: DatabaseUrls, stopwatch: Stopwatch) -> None:
    clock = DatabaseClock(stopwatch)
    async with Database(urls.system, role=Role.SYSTEM, size=1) as database:
        await clock.compare(database)
        stopwatch.at += 3600
        known, stopwatch.trip = clock._known, 2 * LONGEST_TRIP
        await clock.compare(database)
        assert clock._known != known, "Postgres has failed over to a server with another time"


async def distance(clock: DatabaseClock, database: Database) -> timedelta:
    """Return how far the clock is from Postgres's."""
    return abs((await DatabaseClock.of(database))() - clock())


async def test_a_given_clock_is_used_as_it_is(urls: DatabaseUrls) -> None:
    given, heartbeats = TestClock(), Heartbeats()
    async with Database(urls.system, role=Role.SYSTEM, size=1) as database:
        async with following(given, database, heartbeats) as clock:
            assert clock is given
        async with following(None, database, heartbeats) as clock:
            assert isinstance(clock, DatabaseClock)
            assert await distance(clock, database) < timedelta(seconds=30)
    assert 'recado_task_heartbeat_age_seconds{task="clock"}' in "\n".join(heartbeats.metrics())


async def test_without_a_clock_a_worker_goes_by_postgres(platform: Platform) -> None:
    heartbeats = Heartbeats()
    async with worker.engine(platform.settings, heartbeats=heartbeats):
        assert 'task="clock"' in "\n".join(heartbeats.metrics())
        row = await platform.row("select abs(extract(epoch from started_at - now())) as s from workers where id > 1")
        assert row["s"] < 30


def test_no_process_reads_the_clock_of_its_machine() -> None:
    found = {
        f"{path.relative_to(ROOT)}: {ast.unparse(node)}"
        for folder in ("app", "cli", "graphs", "manifest", "tools")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in MACHINES_TIME
    }
    assert found == {"app/clock.py: datetime.now(UTC)"}

"""One booking and one reply, whatever fails at any milestone."""

import asyncio
from collections.abc import Callable

import pytest

from app.db import DatabaseUnavailable
from app.telemetry import Milestone
from tests.app.turns.drivers import OtherWorker, once, recover
from tests.app.turns.faults import CUT_EVERYTHING, CUT_THE_LOCK, run_sql
from tests.platform import PATIENCE, Log, Platform

# Every milestone that a turn with tools passes, and how often.
POINTS = [
    (Milestone.TURN_CLAIMED, 1),
    (Milestone.LEG_RUN, 1),
    (Milestone.LEG_COMMITTED, 1),
    (Milestone.LEG_RUN, 2),
    (Milestone.LEG_COMMITTED, 2),
    (Milestone.TOOL_RUN, 1),
    (Milestone.TOOL_COMMITTED, 1),
    (Milestone.TURN_RUN, 1),
    (Milestone.TURN_COMMITTED, 1),
    (Milestone.ROW_CLAIMED, 1),
    (Milestone.ROW_POSTED, 1),
    (Milestone.ROW_SETTLED, 1),
]
at_every_point = pytest.mark.parametrize(("point", "at"), POINTS, ids=[f"{point}, {at}" for point, at in POINTS])


class Broken(Exception):
    """An unexpected error."""


async def booked_once(platform: Platform, replies: list[str]) -> None:
    """Assert one reply, one appointment and one turn, and that nothing is left to do."""
    (reply,) = replies
    assert reply.startswith("marcado sala@")
    assert len(await platform.rows("select 1 from appointments")) == 1
    assert await platform.row("select disposition, turn from inbox") == {"disposition": "answered", "turn": 1}
    assert await platform.row("select turn, error from turns") == {"turn": 1, "error": None}
    conversation = await platform.row("select turn, pending, owner, attempts, status, last_error from conversations")
    assert conversation == {"turn": 1, "pending": 0, "owner": None, "attempts": 0, "status": "bot", "last_error": None}
    journal = await platform.row("select name, result ->> 'booked' as booked from tool_calls")
    assert journal == {"name": "book_slot", "booked": "true"}
    assert len(await platform.rows("select 1 from checkpoints")) == 1
    (row,) = await platform.rows("select status, provider_sid from outbox")
    assert row["status"] in ("sent", "delivered", "read")
    assert row["provider_sid"]


async def test_every_milestone_is_passed(platform: Platform) -> None:
    """The tests below wait for these milestones."""
    await platform.say("quero marcar agora")
    await platform.nudge()
    await booked_once(platform, await platform.replies(1))
    passed = platform.reached
    assert set(passed) == {point for point, _ in POINTS}
    assert all(passed.count(point) >= at for point, at in POINTS)


@at_every_point
async def test_an_error_at_any_milestone_is_retried(platform: Platform, point: Milestone, at: int) -> None:
    def fail() -> None:
        raise Broken

    await interrupted(platform, point, fail, at=at)
    await booked_once(platform, await recover(platform, 1))


@at_every_point
async def test_a_worker_that_loses_its_lock_is_replaced(
    platform: Platform, other: OtherWorker, point: Milestone, at: int
) -> None:
    """Another worker may take the conversation, and the first one still runs."""

    def cut() -> None:
        run_sql(platform, CUT_THE_LOCK)
        other.take_over(wait_for=comes_to(point))

    await interrupted(platform, point, cut, at=at)
    await booked_once(platform, await recover(platform, 1))


@at_every_point
async def test_a_worker_that_hangs_past_its_lease_is_replaced(
    platform: Platform, other: OtherWorker, point: Milestone, at: int
) -> None:
    """The worker holds its lock, so only its lease ends. It then continues."""

    def hang() -> None:
        platform.clock.advance(platform.settings.lease + 1)
        other.take_over(wait_for=comes_to(point), patience=120)

    await interrupted(platform, point, hang, at=at)
    await booked_once(platform, await recover(platform, 1))


async def test_a_fenced_worker_commits_nothing(platform: Platform, other: OtherWorker, log: Log) -> None:
    def cut() -> None:
        run_sql(platform, CUT_THE_LOCK)
        other.take_over()

    await interrupted(platform, Milestone.TURN_RUN, cut)
    await booked_once(platform, await recover(platform, 1))
    assert "turn fenced" in [line["event"] for line in log.lines]
    epoch = await platform.row("select epoch from conversations")
    assert epoch == {"epoch": 3}, "one claim of the first worker, one claim and one commit of the second"


async def test_a_worker_without_lock_that_nobody_replaced_commits(platform: Platform) -> None:
    await interrupted(platform, Milestone.LEG_RUN, lambda: run_sql(platform, CUT_THE_LOCK))
    await booked_once(platform, await platform.replies(1))
    assert platform.reached.count(Milestone.TURN_CLAIMED) == 1


async def test_connections_that_break_before_the_commit_lose_no_turn(platform: Platform) -> None:
    """Cuts the connections of the lease, of the pools and of the API."""
    await interrupted(platform, Milestone.TURN_RUN, lambda: run_sql(platform, CUT_EVERYTHING))
    await reconnected(platform)
    await booked_once(platform, await recover(platform, 1))


async def reconnected(platform: Platform) -> None:
    """Wait until the pools have replaced their broken connections."""

    engine = platform.engine
    assert engine is not None

    async def answers() -> bool:
        try:
            for _ in range(4):
                await platform.rows("select 1")
                await engine.sweep()
        except DatabaseUnavailable:
            return False
        return True

    await platform.until(answers, "the tests' own connections")


async def interrupted(platform: Platform, point: Milestone, act: Callable[[], None], *, at: int = 1) -> None:
    """Book as a contact, and call `act` when the milestone is passed."""
    happened = asyncio.Event()

    def act_there() -> None:
        happened.set()
        act()

    platform.at_milestone = once(point, act_there, at=at)
    await platform.say("quero marcar agora")
    await platform.nudge()
    await asyncio.wait_for(happened.wait(), PATIENCE)


def comes_to(point: Milestone) -> Milestone | None:
    """Return the milestone that the other worker can reach while the first one waits. None is the end."""
    # In the tool's transaction the first worker holds the journal's key, and the other one waits for it.
    return Milestone.TURN_CLAIMED if point is Milestone.TOOL_RUN else None

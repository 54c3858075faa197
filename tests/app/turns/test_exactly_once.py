"""One booking, one reply, whatever happens at whichever point of the way."""

import asyncio
from collections.abc import Callable

import psycopg
import pytest

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
    """Something that nobody expected."""


async def booked_once(platform: Platform, replies: list[str]) -> None:
    """One reply, one appointment, one turn; nothing left to do and nothing left over."""
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


async def test_every_point_is_passed(platform: Platform) -> None:
    """Without this, the tests below might wait at points that no turn comes to."""
    await platform.say("quero marcar agora")
    await platform.nudge()
    await booked_once(platform, await platform.replies(1))
    passed = platform.reached
    assert set(passed) == {point for point, _ in POINTS}
    assert all(passed.count(point) >= at for point, at in POINTS)


@at_every_point
async def test_an_error_at_any_point_is_tried_again(platform: Platform, point: Milestone, at: int) -> None:
    def fail() -> None:
        raise Broken

    await interrupted(platform, point, fail, at=at)
    await booked_once(platform, await recover(platform, 1))


@at_every_point
async def test_a_worker_that_is_cut_off_at_any_point_is_replaced(
    platform: Platform, other: OtherWorker, point: Milestone, at: int
) -> None:
    """Its lock is gone, so another may take the conversation; but it lives, and goes on."""

    def cut() -> None:
        run_sql(platform, CUT_THE_LOCK)
        other.take_over(wait_for=comes_to(point))

    await interrupted(platform, point, cut, at=at)
    await booked_once(platform, await recover(platform, 1))


@at_every_point
async def test_a_worker_that_hangs_at_any_point_past_its_lease_is_replaced(
    platform: Platform, other: OtherWorker, point: Milestone, at: int
) -> None:
    """It holds its lock, so only the lease says that it hangs. Then it wakes up, and goes on."""

    def hang() -> None:
        platform.clock.advance(platform.settings.lease + 1)
        other.take_over(wait_for=comes_to(point), patience=120)

    await interrupted(platform, point, hang, at=at)
    await booked_once(platform, await recover(platform, 1))


async def test_what_a_fenced_worker_did_counts_for_nothing(platform: Platform, other: OtherWorker, log: Log) -> None:
    def cut() -> None:
        run_sql(platform, CUT_THE_LOCK)
        other.take_over()

    await interrupted(platform, Milestone.TURN_RUN, cut)
    await booked_once(platform, await recover(platform, 1))
    assert "turn fenced" in [line["event"] for line in log.lines]
    epoch = await platform.row("select epoch from conversations")
    assert epoch == {"epoch": 3}, "one claim of the first worker, one claim and one commit of the second"


async def test_a_worker_that_lost_its_lock_to_nobody_finishes_what_it_has(platform: Platform) -> None:
    await interrupted(platform, Milestone.LEG_RUN, lambda: run_sql(platform, CUT_THE_LOCK))
    await booked_once(platform, await platform.replies(1))
    assert platform.reached.count(Milestone.TURN_CLAIMED) == 1


async def test_connections_that_break_before_the_commit_lose_no_turn(platform: Platform) -> None:
    """Every one of them: the lock's, the pools', the API's."""
    await interrupted(platform, Milestone.TURN_RUN, lambda: run_sql(platform, CUT_EVERYTHING))
    await reconnected(platform)
    await booked_once(platform, await recover(platform, 1))


async def reconnected(platform: Platform) -> None:
    """Waits until the broken connections are out of the pools."""

    engine = platform.engine
    assert engine is not None

    async def answers() -> bool:
        try:
            for _ in range(4):
                await platform.rows("select 1")
                await engine.sweep()
        except psycopg.OperationalError:
            return False
        return True

    await platform.until(answers, "the tests' own connections")


async def interrupted(platform: Platform, point: Milestone, act: Callable[[], None], *, at: int = 1) -> None:
    """A contact books, and this happens at that point."""
    happened = asyncio.Event()

    def act_there() -> None:
        happened.set()
        act()

    platform.at_milestone = once(point, act_there, at=at)
    await platform.say("quero marcar agora")
    await platform.nudge()
    await asyncio.wait_for(happened.wait(), PATIENCE)


def comes_to(point: Milestone) -> Milestone | None:
    """How far the other worker can come; None: to the end."""
    # Within the tool's transaction the first one holds the journal's key: the other one claims, and waits for the key.
    return Milestone.TURN_CLAIMED if point is Milestone.TOOL_RUN else None

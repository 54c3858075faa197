"""The engine (nudges, sweeps, one task per conversation, shutdown) and the worker's lease."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import psycopg
import pytest

from app import worker
from app.telemetry import Milestone
from app.turns.engine import WAITING_PER_TENANT
from tests.app.turns.drivers import ask, from_other_process, receive
from tests.app.turns.faults import CUT_THE_LOCK, run_sql
from tests.platform import CONTACT, TENANT, Platform, tenant_manifest

OTHER_CONTACT = "whatsapp:+5511990000002"
OTHER_NUMBER = "whatsapp:+551140000002"


async def address(platform: Platform) -> tuple[UUID, UUID]:
    """Return tenant and id of the only conversation."""
    row = await platform.row("select tenant_id, id from conversations")
    return row["tenant_id"], row["id"]


async def workers(platform: Platform) -> list[int]:
    """Return the ids of the live workers."""
    return [row["id"] for row in await platform.rows("select id from live_workers order by id")]


# Nudges and sweeps.


async def test_a_lost_nudge_is_found_by_a_sweep(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.say("oi")
    platform.clock.advance(2)
    await platform.engine.sweep()
    assert await platform.replies(1) == ["eco: oi"]


async def test_what_is_fresh_is_left_to_its_nudge(platform: Platform) -> None:
    """Otherwise the sweep of every worker races the worker that has the nudge."""
    assert platform.engine is not None
    platform.clock.advance(-30)
    await receive(platform, "oi")
    await platform.engine.sweep()
    assert platform.engine.in_flight == 0


async def test_a_nudge_that_comes_early_waits_for_its_time(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 300ms")
    await platform.say("oi")
    due = (await platform.row("select due_at from conversations"))["due_at"]
    await platform.nudge()
    assert platform.engine.in_flight == 0
    assert await platform.replies(1) == ["eco: oi"]
    assert (await platform.row("select claimed_at from turns"))["claimed_at"] >= due


async def test_a_claim_that_comes_a_hair_early_is_repeated(platform: Platform) -> None:
    """The row becomes due between the claim and the look at the clock: no sweep is needed."""
    assert platform.engine is not None
    await platform.engine.close()
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 10s")
    await platform.say("oi")
    due: datetime = (await platform.row("select due_at from conversations"))["due_at"]
    first = iter([due - timedelta(milliseconds=1)])

    def clock() -> datetime:
        return next(first, due)

    async with worker.engine(replace(platform.settings, sweep_interval=3600.0), clock=clock) as engine:
        first = iter([due, due - timedelta(milliseconds=1)])
        engine.nudge(*await address(platform))
        assert await platform.replies(1) == ["eco: oi"]


async def test_any_number_of_nudges_is_one_turn(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.say("lento, por favor")
    tenant_id, conversation_id = await address(platform)
    for _ in range(50):
        platform.engine.nudge(tenant_id, conversation_id)
    assert platform.engine.in_flight == 1
    assert await platform.replies(1) == ["cheguei - lento, por favor"]
    assert platform.reached.count(Milestone.TURN_CLAIMED) == 1


async def test_a_nudge_for_nothing_does_nothing(platform: Platform) -> None:
    assert platform.engine is not None
    await ask(platform, "oi")
    tenant_id, conversation_id = await address(platform)
    platform.engine.nudge(tenant_id, conversation_id)
    platform.engine.nudge(tenant_id, UUID(int=7))
    await platform.until(lambda: idle(platform), "the engine to look")
    assert await platform.delivered() == ["eco: oi"]
    assert await platform.row("select turn, epoch from conversations") == {"turn": 1, "epoch": 2}


async def idle(platform: Platform) -> bool:
    assert platform.engine is not None
    return platform.engine.in_flight == 0


async def test_a_nudge_in_the_name_of_another_tenant_does_nothing(platform: Platform) -> None:
    assert platform.engine is not None
    platform.clock.advance(-30)
    await receive(platform, "oi")
    _, conversation_id = await address(platform)
    platform.engine.nudge(UUID(int=7), conversation_id)
    await platform.until(lambda: idle(platform), "the engine to look")
    assert await platform.row("select pending, epoch from conversations") == {"pending": 1, "epoch": 0}


async def test_no_more_turns_run_at_once_than_the_worker_has_room_for(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    async with platform.worker(turns_in_flight=1) as narrow:
        for contact in (CONTACT, OTHER_CONTACT):
            await platform.say("lento, por favor", contact=contact)
        for row in await platform.rows("select tenant_id, id from conversations"):
            narrow.nudge(row["tenant_id"], row["id"])
        assert narrow.in_flight == 2
        await platform.replies(1)
        await platform.replies(1, OTHER_CONTACT)
    claims = await platform.rows("select claimed_at, finished_at from turns order by finished_at")
    assert claims[0]["finished_at"] <= claims[1]["claimed_at"]


# Shutdown.


async def test_an_engine_that_closes_finishes_its_turn_and_reply(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.say("lento, por favor")
    await platform.nudge()
    await platform.until(lambda: claimed(platform), "the turn to begin")
    await platform.engine.close()
    assert await platform.delivered() == ["cheguei - lento, por favor"]
    assert platform.engine.in_flight == 0


async def claimed(platform: Platform) -> bool:
    return Milestone.TURN_CLAIMED in platform.reached


async def test_an_engine_that_closes_takes_no_conversation(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    await platform.say("oi")
    await platform.nudge()
    assert platform.engine.in_flight == 0
    assert await platform.row("select pending from conversations") == {"pending": 1}


async def test_an_engine_that_runs_out_of_time_releases_its_turns(platform: Platform) -> None:
    """A released turn does not count as a failed attempt."""
    assert platform.engine is not None
    await platform.control(platform.servers.model, "faults", {"latency_ms": 60_000})
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: claimed(platform), "the turn to begin")
    await platform.engine.close(0)
    row = await platform.row("select owner, attempts, pending, last_error from conversations")
    assert row == {"owner": None, "attempts": 0, "pending": 1, "last_error": "interrupted"}
    await platform.control(platform.servers.model, "faults", {})
    async with platform.worker() as successor:
        successor.nudge(*await address(platform))
        assert await platform.replies(1) == ["eco: oi"]


async def test_a_turn_that_takes_too_long_is_tried_again(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    await platform.control(platform.servers.model, "faults", {"latency_ms": 60_000})
    async with platform.worker(turn_timeout=0.2) as hasty:
        await platform.say("oi")
        hasty.nudge(*await address(platform))
        await platform.until(lambda: failed(platform), "the time limit")
        await platform.control(platform.servers.model, "faults", {})
    row = await platform.row("select owner, attempts, last_error from conversations")
    assert row == {"owner": None, "attempts": 1, "last_error": "TimeoutError"}


async def failed(platform: Platform) -> bool:
    return bool(await platform.rows("select 1 from conversations where last_error is not null"))


# The lease.


async def test_a_worker_is_alive_from_its_start_to_its_end(platform: Platform) -> None:
    (first,) = await workers(platform)
    async with platform.worker():
        known, second = await workers(platform)
        assert (known, second > first) == (first, True)

    async def released() -> bool:
        """Postgres releases the lock after the connection is closed, not at the same time."""
        return await workers(platform) == [first]

    await platform.until(released, "the lock of the second worker to be released")


async def test_a_worker_that_loses_its_connection_gets_a_new_id(platform: Platform) -> None:
    """Other workers may have taken the conversations of the old id."""
    (before,) = await workers(platform)
    run_sql(platform, CUT_THE_LOCK)
    await platform.until(lambda: alive_again(platform, before), "the worker to register again")
    (after,) = await workers(platform)
    assert after > before
    assert await ask(platform, "oi") == ["eco: oi"]


async def alive_again(platform: Platform, before: int) -> bool:
    return await workers(platform) not in ([], [before])


@pytest.mark.parametrize("ahead", [0, 3600])
async def test_a_live_owner_within_its_lease_is_left_alone(platform: Platform, ahead: int) -> None:
    await platform.control(platform.servers.model, "faults", {"latency_ms": 400})
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: claimed(platform), "the turn to begin")
    async with platform.worker(lease=ahead + 60) as other:
        platform.clock.advance(ahead)
        await other.sweep()
        other.nudge(*await address(platform))
        await asyncio.sleep(0)
        assert await platform.replies(1) == ["eco: oi"]
    assert platform.reached.count(Milestone.TURN_CLAIMED) == 1
    assert (await platform.row("select owner from conversations"))["owner"] is None


async def test_a_leg_extends_the_lease(platform: Platform) -> None:
    """A turn with many legs is alive, however long ago it started."""
    start = platform.clock()
    claims: list[datetime] = []

    async def look() -> None:
        async with await psycopg.AsyncConnection.connect(platform.urls.owner) as connection:
            cursor = await connection.execute("select claimed_at from conversations")
            claims.extend(claimed_at for (claimed_at,) in await cursor.fetchall())

    def reached(milestone: Milestone) -> None:
        if milestone is Milestone.LEG_RUN:
            platform.clock.advance(200)
        if milestone is Milestone.LEG_COMMITTED:
            from_other_process(look)

    platform.at_milestone = reached
    await ask(platform, "quero marcar")
    (claimed_at,) = claims
    assert claimed_at - start >= timedelta(seconds=200)


# Tenants share a worker.


async def noisy_and_quiet(platform: Platform) -> tuple[list[tuple[UUID, UUID]], tuple[UUID, UUID]]:
    """Return the conversations of a tenant with six slow turns, and that of another tenant."""
    await platform.publish("outra", tenant_manifest().files)
    await platform.add_channel("outra", OTHER_NUMBER)
    for number in range(6):
        await platform.say("lento, por favor", contact=f"whatsapp:+551199500000{number}")
    await platform.say("oi", To=OTHER_NUMBER)
    found = await platform.rows(
        "select c.tenant_id, c.id, slug from conversations c join tenants t on t.id = tenant_id"
    )
    noisy = [(row["tenant_id"], row["id"]) for row in found if row["slug"] == TENANT]
    (quiet,) = [(row["tenant_id"], row["id"]) for row in found if row["slug"] == "outra"]
    return noisy, quiet


async def test_a_tenant_leaves_slots_to_the_others(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    noisy, quiet = await noisy_and_quiet(platform)
    async with platform.worker(turns_in_flight=4) as narrow:
        for waiting in [*noisy, quiet]:
            narrow.nudge(*waiting)
        await platform.until(lambda: platform.rows("select 1 from turns offset 6"), "all turns")
    claims = await platform.rows("select tenant_id from turns order by claimed_at")
    assert quiet[0] in [row["tenant_id"] for row in claims[:4]]


async def test_waiting_conversations_of_a_tenant_are_bounded(platform: Platform) -> None:
    """Those that are dropped are found by a sweep, and another tenant's are found although there are so many."""
    assert platform.engine is not None
    await platform.engine.close()
    noisy, quiet = await noisy_and_quiet(platform)
    platform.clock.advance(2)
    async with platform.worker(turns_in_flight=4) as narrow:
        for _ in range(WAITING_PER_TENANT + 10):
            narrow.nudge(noisy[0][0], uuid4())
        assert narrow.in_flight == 3 + WAITING_PER_TENANT
        narrow.nudge(*noisy[0])
        assert narrow.in_flight == 3 + WAITING_PER_TENANT
        await narrow.sweep()
        await platform.until(lambda: platform.rows("select 1 from turns offset 6"), "all turns")
    first = await platform.row("select tenant_id from turns order by claimed_at limit 1")
    assert first["tenant_id"] == quiet[0]

"""Several workers, dead workers and late answers: a row is posted by one, and only if nobody may have posted it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from uuid import UUID

import aiohttp
import pytest

from app.background import Heartbeats
from app.channels.whatsapp.outbound import TwilioGateway
from app.crypto import SecretBox
from app.db import Database
from app.identity.service import Channels
from app.outbox import queries
from app.outbox.channel_breaker import ChannelBreaker
from app.outbox.queries import Claimer, OutboxRow, SendOutcome
from app.outbox.service import Sender
from app.telemetry import Milestone
from app.turns.worker_lease import WorkerLease
from tests.app.channels.scripted_twilio import HANG, ScriptedTwilio
from tests.app.outbox import outbox_rows as rows
from tests.app.outbox.twilio_faults import SETTLED, faulty, twilio_has
from tests.app.turns.faults import CUT_THE_LOCK, run_sql
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, TOKEN, Platform

LEASE = timedelta(seconds=300)


async def dead_worker(platform: Platform) -> int:
    """The id of a worker that is gone: nobody holds its lock."""
    made = await platform.row(
        "insert into workers (host, pid, started_at) values ('gone', 1, %(now)s) returning id", now=platform.clock()
    )
    return int(made["id"])


async def left_behind(platform: Platform, *bodies: str, owner: int) -> list[int]:
    """Rows of which the first was in a worker's hands: it may have posted it or not."""
    conversation = await rows.conversation(platform)
    now = platform.clock()
    first = await rows.queue(
        platform, conversation, bodies[0], status="sending", owner=owner, attempts=1, attempted_at=now, updated_at=now
    )
    return first + await rows.queue(platform, conversation, *bodies[1:])


@pytest.fixture
async def living(platform: Platform) -> AsyncIterator[list[WorkerLease]]:
    """Three workers that are alive and do nothing."""
    url = platform.settings.system_database_url
    made = [WorkerLease(url, platform.system, platform.clock, 3.0, Heartbeats()) for _ in range(3)]
    for lease in made:
        await lease.start()
    yield made
    for lease in made:
        await lease.close()


def claimer(owner: int, now: datetime) -> Claimer:
    """A worker that has posted nothing yet and has lost no claim."""
    return Claimer(owner, now, stale=now - LEASE, lost=None, posted=[])


def worker_id(lease: WorkerLease) -> int:
    assert lease.worker_id is not None
    return lease.worker_id


class TestDeadWorker:
    async def test_a_row_that_was_never_posted_is_posted_after_a_look(self, platform: Platform) -> None:
        made = await left_behind(platform, "um", "dois", owner=await dead_worker(platform))
        await rows.until(platform, made[0], "unknown")
        assert await twilio_has(platform) == [], "it may have been posted, so it is not posted at once"
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[1], "sent", "delivered", hurry=0.5)
        assert await platform.delivered() == ["um", "dois"]

    async def test_its_row_is_sent_within_16_seconds(self, platform: Platform) -> None:
        """Nobody knows whether it was posted, and Twilio does not have it."""
        (outbox_id,) = await left_behind(platform, "um", owner=await dead_worker(platform))
        died = platform.clock()
        await rows.until(platform, outbox_id, "sent", "delivered", hurry=0.1)
        assert (platform.clock() - died).total_seconds() <= 16
        assert await platform.delivered() == ["um"]

    async def test_its_posted_row_is_found_at_once(self, platform: Platform) -> None:
        await faulty(platform, "p_500", count=0, callbacks=False)
        await post_by_hand(platform, "um")
        made = await left_behind(platform, "um", "dois", owner=await dead_worker(platform))
        await rows.until(platform, made[1], "sent")
        messages = await twilio_has(platform)
        assert [body for _, body in messages] == ["um", "dois"]
        found = await rows.row(platform, made[0])
        assert found["provider_sid"] == messages[0][0]
        assert (found["updated_at"] - found["attempted_at"]).total_seconds() < 5

    async def test_a_message_that_is_listed_late_is_found(self, platform: Platform) -> None:
        """The first look-ups find nothing. They prove nothing, because Twilio had no time to list the message."""
        await faulty(platform, "p_500", count=0, callbacks=False)
        (outbox_id,) = await left_behind(platform, "um", owner=await dead_worker(platform))
        await rows.until(platform, outbox_id, "unknown")
        platform.clock.advance(4)
        await rows.until(platform, outbox_id, "unknown")
        await post_by_hand(platform, "um")
        await rows.until(platform, outbox_id, "sent", hurry=0.1)
        assert [body for _, body in await twilio_has(platform)] == ["um"]

    async def test_a_worker_that_dies_with_a_posted_row_in_hand(self, platform: Platform) -> None:
        """Between the post and its settlement: the last moment at which only the dead knew."""
        assert platform.engine is not None
        await platform.engine.close()
        await faulty(platform, "p_500", count=0, callbacks=False)
        died = asyncio.Event()

        def die(milestone: Milestone) -> None:
            if milestone is Milestone.ROW_POSTED and not died.is_set():
                died.set()
                raise asyncio.CancelledError

        platform.at_milestone = die
        async with platform.worker():
            made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
            await platform.until(lambda: _is_set(died), "the worker to die")
            assert await rows.statuses(platform, *made) == ["sending", "queued"]
        async with platform.worker():
            await rows.until(platform, made[1], "sent")
        assert [body for _, body in await twilio_has(platform)] == ["um", "dois"]


async def _is_set(event: asyncio.Event) -> bool:
    return event.is_set()


async def post_by_hand(platform: Platform, body: str) -> None:
    """What the dead worker did last."""
    url = f"{platform.servers.twilio}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"
    form = {"To": CONTACT, "From": NUMBER, "Body": body}
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT_SID, TOKEN)}
    async with platform.http.post(url, data=form, headers=headers) as answer:
        assert answer.status == 201


class TestLivingWorker:
    async def test_its_row_is_its_own_until_it_dies(self, platform: Platform, living: list[WorkerLease]) -> None:
        assert platform.engine is not None
        made = await left_behind(platform, "um", "dois", owner=worker_id(living[0]))
        for _ in range(3):
            platform.clock.advance(20)
            await platform.engine.sweep()
        assert await rows.statuses(platform, *made) == ["sending", "queued"]
        await living[0].close()
        await rows.until(platform, made[1], "sent", "delivered", hurry=0.5)
        assert await platform.delivered() == ["um", "dois"]

    async def test_one_that_hangs_loses_it_with_its_lease(self, platform: Platform, living: list[WorkerLease]) -> None:
        made = await left_behind(platform, "um", owner=worker_id(living[0]))
        platform.clock.advance(LEASE.total_seconds() + 1)
        await rows.until(platform, made[0], "sent", "delivered", hurry=0.5)
        assert await platform.delivered() == ["um"]

    async def test_a_late_result_of_another_worker_keeps_facts_only(
        self, platform: Platform, living: list[WorkerLease]
    ) -> None:
        assert platform.engine is not None
        await platform.engine.close()
        first, second = map(worker_id, living[:2])
        conversation = await rows.conversation(platform)
        (outbox_id,) = await rows.queue(platform, conversation, "um")
        contact = await rows.contact_of(platform, outbox_id)
        now = platform.clock()
        async with platform.system.statement() as tx:
            row = await queries.claim_head(tx, contact, claimer(first, now))
            assert row is not None
            later = now + LEASE + timedelta(seconds=1)
            assert await queries.claim_head(tx, contact, claimer(second, later)) is not None
            before = await rows.row(platform, outbox_id)
            for late in (SendOutcome("failed", error_code="1"), SendOutcome("retrying")):
                await queries.settle(tx, row, late, claimer(first, later))
                assert await rows.row(platform, outbox_id) == before
            await queries.settle(tx, row, SendOutcome("sent", "SM1"), claimer(first, later))
            known = await rows.row(platform, outbox_id)
            assert (known["status"], known["provider_sid"]) == ("sent", "SM1"), (
                "that Twilio has it, is true whoever says so"
            )


class TestLostLock:
    """Others believe a worker dead that has lost its lock, and look its rows up. It must not post them later."""

    async def test_a_post_does_not_begin(self, platform: Platform) -> None:
        assert platform.engine is not None
        await platform.engine.close()
        await faulty(platform, "p_500", count=0, callbacks=False)
        cut: list[Milestone] = []

        def lose_the_lock(milestone: Milestone) -> None:
            if milestone is Milestone.ROW_CLAIMED and not cut:
                run_sql(platform, CUT_THE_LOCK)
                time.sleep(1.0)
            cut.append(milestone)

        platform.at_milestone = lose_the_lock
        async with platform.worker(unknown_settle=2.0):
            (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
            row = await rows.until(platform, outbox_id, "sent")
        assert cut[:3] == [Milestone.ROW_CLAIMED, Milestone.ROW_SETTLED, Milestone.ROW_CLAIMED], "posted without a lock"
        assert row["attempts"] == 1
        assert await platform.delivered() == ["um"]

    async def test_a_running_post_is_abandoned(self, platform: Platform) -> None:
        async with rows.scripted_worker(platform, send_timeout=60.0, unknown_settle=2.0) as twilio:
            twilio.answers.append(HANG)
            (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
            await platform.until(lambda: _posted(twilio), "the post")
            run_sql(platform, CUT_THE_LOCK)
            await rows.until(platform, outbox_id, "sent")
            assert twilio.posted == ["um", "um"]


async def _posted(twilio: ScriptedTwilio) -> bool:
    return bool(twilio.posted)


class TestSeveralWorkers:
    async def test_of_many_claims_at_once_one_wins(self, platform: Platform, living: list[WorkerLease]) -> None:
        assert platform.engine is not None
        await platform.engine.close()
        owners = [worker_id(lease) for lease in living]
        async with Database(platform.settings.database_url, size=12) as db:
            tenant = await platform.row("select id from tenants")

            async def claim(contact: UUID, owner: int) -> OutboxRow | None:
                async with db.statement(tenant["id"]) as tx:
                    return await queries.claim_head(tx, contact, claimer(owner, platform.clock()))

            for number in range(5):
                conversation = await rows.conversation(platform, f"whatsapp:+551199600001{number}")
                made = await rows.queue(platform, conversation, "um", "dois")
                contact = await rows.contact_of(platform, made[0])
                claims = await asyncio.gather(*(claim(contact, owner) for owner in owners * 4))
                assert [row.id for row in claims if row is not None] == [made[0]]

    async def test_no_row_is_posted_twice_and_all_arrive_in_order(self, platform: Platform) -> None:
        assert platform.engine is not None
        await platform.engine.close()
        contacts = [f"whatsapp:+55119960000{n:02}" for n in range(20)]
        for contact in contacts:
            await rows.queue(
                platform, await rows.conversation(platform, contact), *(f"{contact} {n}" for n in range(4))
            )
        async with AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(platform.worker(sweep_interval=0.01))

            async def all_sent() -> bool:
                return not await platform.rows("select 1 from outbox where provider_sid is null")

            await platform.until(all_sent, "all rows to be sent")
        for contact in contacts:
            assert await platform.delivered(contact) == [f"{contact} {n}" for n in range(4)]
        assert await platform.rows("select 1 from outbox where attempts <> 1") == []


async def test_a_concurrent_sweep_forgets_no_row(platform: Platform, living: list[WorkerLease]) -> None:
    """A turn's commit hands the row over already claimed; nobody else will look at it for a minute."""
    assert platform.engine is not None
    await platform.engine.close()
    owner, settings = worker_id(living[0]), platform.settings
    tenant = (await platform.row("select id from tenants"))["id"]
    conversation = await rows.conversation(platform)
    (outbox_id,) = await rows.queue(platform, conversation, "um")
    contact = await rows.contact_of(platform, outbox_id)
    gateway = TwilioGateway(
        api_url=settings.twilio_api_url, callback_url=f"{settings.public_url}/x", timeout=5, clock=platform.clock
    )
    async with Database(settings.database_url, size=2) as db:
        channels = Channels(platform.system, SecretBox(settings.secret_key))
        breaker = ChannelBreaker(platform.system, channels, gateway, platform.clock)
        sender = Sender(db, breaker, gateway, living[0], platform.clock, settings, lambda _: None)
        async with db.statement(tenant) as tx:
            claimed = await queries.claim_head(tx, contact, claimer(owner, platform.clock()))
        for head in (None, claimed, None):
            sender.deliver(tenant, contact, owner, head)
        await sender.close()
    await gateway.close()
    assert await rows.statuses(platform, outbox_id) == ["sent"]
    assert await platform.delivered() == ["um"]

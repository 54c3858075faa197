"""Old rows are erased in small batches, as each tenant sets it; one contact is erased at once, with every row."""

import asyncio
import os
import signal

import pytest

from app import scheduler
from app.db import system_database
from app.errors import NotFoundError
from app.retention import service as retention
from app.retention.service import KINDS, keep_up
from app.telemetry import Milestone
from tests.app.retention.tables import ids_of, mentions
from tests.app.turns.drivers import ask, drain, fire_timers, from_other_process, once, receive, replies_to
from tests.platform import CONTACT, TENANT, Platform

DAY = 86_400
OTHER = "whatsapp:+5511990000002"
OF_A_CONVERSATION = (
    *("inbox", "outbox", "status_callbacks", "turns", "tool_calls", "interrupts", "appointments", "conversations"),
    *("checkpoints", "checkpoint_blobs", "checkpoint_writes"),
)


@pytest.fixture
async def talked(platform: Platform) -> Platform:
    """Two contacts have talked; one has an appointment, a decision, callbacks, and a state that was set aside."""
    await ask(platform, "quero marcar agora", contact=OTHER)
    await ask(platform, "quero marcar primeiro")
    await platform.rows("update checkpoint_blobs set blob = '\\xc1', type = 'msgpack' where channel = 'messages'")
    await ask(platform, "quero marcar agora")
    await ask(platform, "lembre: gosta de manhã")
    await ask(platform, "quero um atendente")
    await platform.until(lambda: platform.rows("select 1 from status_callbacks offset 5"), "callbacks")
    return platform


async def close_all(platform: Platform, days_ago: int = 0) -> None:
    """Close every conversation, so many days ago."""
    await platform.rows(
        """update conversations set status = 'closed', closed_at = %(now)s - %(days)s * interval '1 day',
               wake_at = null, wake_for = null""",
        now=platform.clock(),
        days=days_ago,
    )


async def keep_up_with_all(platform: Platform) -> None:
    """Do upkeep until there is no more to do."""
    for _ in range(50):
        if not await keep_up(platform.system, platform.clock()):
            return
    raise AssertionError("upkeep never ends")


async def test_a_contact_is_erased_with_every_row(talked: Platform) -> None:
    mine, others = await ids_of(talked, CONTACT), await ids_of(talked, OTHER)
    before = mentions(talked, *mine)
    for table in ("inbox", "outbox", "turns", "interrupts", "appointments", "tool_calls", "checkpoints", "contacts"):
        assert table in before
    theirs, used = mentions(talked, *others), await talked.rows("select number, model, input_tokens from usage_ledger")
    erased = await retention.erase_contact(talked.system, TENANT, CONTACT)
    assert (erased.contacts, erased.conversations) == (1, 1)
    assert mentions(talked, *mine) == {}
    assert mentions(talked, *others) == theirs
    still_used = await talked.rows("select number, model, input_tokens from usage_ledger")
    assert sorted(map(str, still_used)) == sorted(map(str, used)), "the tenant pays for it"
    with pytest.raises(NotFoundError, match="nobody has written"):
        await retention.erase_contact(talked.system, TENANT, CONTACT)
    assert await replies_to(talked, "oi") == ["eco: oi"]


@pytest.mark.parametrize("point", [Milestone.TURN_CLAIMED, Milestone.TURN_RUN, Milestone.TURN_COMMITTED])
async def test_a_contact_is_erased_while_a_turn_runs(platform: Platform, point: Milestone) -> None:
    async def erase() -> None:
        async with system_database(platform.settings) as system:
            await retention.erase_contact(system, TENANT, CONTACT)

    await ask(platform, "oi")
    mine = await ids_of(platform, CONTACT)
    platform.at_milestone = once(point, lambda: from_other_process(erase))
    await platform.say("tudo bem?")
    await drain(platform)
    found = mentions(platform, *mine)
    assert found.keys() <= {"usage_ledger"}, "what the erased turn used after that is counted"
    platform.at_milestone = None
    before = len(await platform.delivered())
    await platform.say("de novo")
    await drain(platform)
    assert (await platform.delivered())[before:] == ["eco: de novo"]


async def test_old_conversations_are_erased_with_all(talked: Platform) -> None:
    await close_all(talked, KINDS["conversations"].days + 1)
    await keep_up_with_all(talked)
    kept = await talked.rows("select 1 from appointments")
    assert len(kept) > 0, "an appointment lies ahead"
    talked.clock.advance((KINDS["conversations"].days + 30) * DAY)
    await keep_up_with_all(talked)
    assert mentions(talked, "").keys().isdisjoint({*OF_A_CONVERSATION, "contacts"})
    assert await talked.rows("select 1 from usage_ledger") != []


async def test_newer_and_open_conversations_stay(talked: Platform) -> None:
    before = mentions(talked, "")
    talked.clock.advance((KINDS["conversations"].days + 1) * DAY)
    for kind in ("callbacks", "usage"):
        await retention.set_retention(talked.system, TENANT, kind, 9999)
    before = mentions(talked, "")
    await keep_up_with_all(talked)
    assert mentions(talked, "") == before, "they are open"
    await close_all(talked)
    await keep_up_with_all(talked)
    assert mentions(talked, "") == before, "they were closed just now"


async def test_a_tenant_sets_its_own_days(talked: Platform) -> None:
    await talked.rows("delete from appointments")
    await retention.set_retention(talked.system, TENANT, "conversations", 10)
    assert (await retention.retention(talked.system, TENANT))["conversations"] == 10
    await close_all(talked, 9)
    await keep_up_with_all(talked)
    assert len(await talked.rows("select 1 from conversations")) == 2
    await close_all(talked, 11)
    await keep_up_with_all(talked)
    assert await talked.rows("select 1 from conversations") == []
    assert len(await talked.rows("select 1 from contacts")) == 2, "they wrote today"


async def test_what_is_still_sent_keeps_its_conversation(talked: Platform) -> None:
    await talked.rows("delete from appointments")
    await close_all(talked, KINDS["conversations"].days + 1)
    await talked.rows(
        """update outbox set status = 'retrying', due_at = %(now)s + interval '1 day'
           where id = (select max(id) from outbox)""",
        now=talked.clock(),
    )
    await keep_up_with_all(talked)
    assert len(await talked.rows("select 1 from conversations")) == 1


async def test_callbacks_and_usage_are_erased(talked: Platform) -> None:
    talked.clock.advance((KINDS["callbacks"].days + 1) * DAY)
    await keep_up_with_all(talked)
    assert await talked.rows("select 1 from status_callbacks") == []
    assert await talked.rows("select 1 from usage_ledger") != []
    talked.clock.advance(KINDS["usage"].days * DAY)
    await keep_up_with_all(talked)
    assert await talked.rows("select 1 from usage_ledger") == []


async def test_the_scheduler_erases(talked: Platform) -> None:
    talked.clock.advance((KINDS["callbacks"].days + 1) * DAY)
    running = asyncio.create_task(scheduler.run(talked.settings, clock=talked.clock))

    async def erased() -> bool:
        return await talked.rows("select 1 from status_callbacks") == []

    await talked.until(erased, "the callbacks to be erased")
    os.kill(os.getpid(), signal.SIGTERM)
    await running


async def states(platform: Platform) -> int:
    """Return the number of saved states."""
    return len(await platform.rows("select 1 from checkpoints union all select 1 from checkpoint_blobs"))


@pytest.mark.parametrize("expires", [False, True])
async def test_the_checkpoint_goes_with_the_close(platform: Platform, expires: bool) -> None:
    if expires:
        await platform.republish("idle: 23h", "expire: 24h")
    await ask(platform, "oi")
    assert await states(platform) > 0
    if expires:
        platform.clock.advance(DAY + 1)
        await fire_timers(platform)
        await drain(platform)
    else:
        assert await replies_to(platform, "tchau") == ["Até logo!"]
    assert await platform.row("select status from conversations") == {"status": "closed"}
    assert await states(platform) == 0
    assert await replies_to(platform, "oi de novo") == ["eco: oi de novo"]


async def test_a_message_during_the_goodbye_keeps_it(platform: Platform) -> None:
    await ask(platform, "oi")
    again = once(Milestone.TURN_RUN, lambda: from_other_process(lambda: receive(platform, "espera")))
    platform.at_milestone = again
    await platform.say("tchau")
    await drain(platform)
    assert await platform.row("select status from conversations") == {"status": "bot"}
    assert await states(platform) > 0

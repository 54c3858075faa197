"""Which mailbox a row goes to: one open conversation per contact and channel; timers and decisions find it, too."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from app import broker
from app.broker import Nudger
from app.db import Database
from app.errors import ConflictError
from app.inbox.service import Inbox, fire_timers
from tests.platform import CONTACT, TENANT, Platform

FRIEND = "whatsapp:+5511990000002"
OTHER_ACCOUNT, OTHER_NUMBER, OTHER_TOKEN = "AC" + "9" * 32, "whatsapp:+551140000009", "the-other-token"


async def conversations(platform: Platform) -> list[dict[str, Any]]:
    return await platform.rows(
        """select c.address, v.status, v.turn, v.pending, v.closed_at is not null as ended from conversations v
           join contacts c on c.id = v.contact_id order by v.opened_at"""
    )


async def answered(platform: Platform, body: str, replies: int, contact: str = CONTACT) -> list[str]:
    await platform.say(body, contact=contact)
    await platform.nudge()
    return await platform.replies(replies, contact)


async def test_each_contact_has_one_open_conversation(platform: Platform) -> None:
    await answered(platform, "oi", 1)
    await answered(platform, "tudo bem?", 2)
    await answered(platform, "olá", 1, FRIEND)
    assert [(each["address"], each["turn"]) for each in await conversations(platform)] == [(CONTACT, 2), (FRIEND, 1)]


async def test_the_same_person_at_two_numbers_has_two_conversations(platform: Platform) -> None:
    await platform.add_channel(TENANT, OTHER_NUMBER, OTHER_ACCOUNT, OTHER_TOKEN)
    await platform.say("oi")
    other = platform.webhook("olá", To=OTHER_NUMBER, AccountSid=OTHER_ACCOUNT)
    assert (await platform.post(other, token=OTHER_TOKEN))[0] == 200
    await platform.nudge()
    await platform.replies(2)
    sent = await platform.control(platform.servers.twilio, "messages?direction=outbound")
    assert {(each["from"], each["body"]) for each in sent["messages"]} == {
        ("whatsapp:+551140000001", "eco: oi"),
        (OTHER_NUMBER, "eco: olá"),
    }
    assert len(await conversations(platform)) == 2


async def test_after_a_conversation_is_closed_a_new_one_opens(platform: Platform) -> None:
    assert await answered(platform, "tchau", 1) == ["Até logo!"]
    assert [(each["status"], each["ended"]) for each in await conversations(platform)] == [("closed", True)]
    assert await answered(platform, "oi", 2) == ["Até logo!", "eco: oi"]
    assert [(each["status"], each["turn"]) for each in await conversations(platform)] == [("closed", 1), ("bot", 1)]
    assert await answered(platform, "tchau", 3) == ["Até logo!", "eco: oi", "Até logo!"]
    assert [each["status"] for each in await conversations(platform)] == ["closed", "closed"]


async def test_many_first_messages_at_once_open_one_conversation(platform: Platform) -> None:
    await asyncio.gather(*(platform.say(f"{n}") for n in range(10)))
    assert [each["pending"] for each in await conversations(platform)] == [10]
    await platform.nudge()
    (reply,) = await platform.replies(1)
    assert sorted(reply.removeprefix("eco: ").split("\n")) == [str(n) for n in range(10)]


async def inbox_of(platform: Platform, db: Database) -> Inbox:
    return Inbox(db, Nudger(broker.make_broker(platform.settings.redis_url)), platform.clock)


class TestTimers:
    async def test_a_timer_fires_once_though_two_schedulers_look(self, platform: Platform) -> None:
        await answered(platform, "oi", 1)
        await answered(platform, "olá", 1, FRIEND)
        nudger = Nudger(broker.make_broker(platform.settings.redis_url))

        async def fired() -> int:
            ticks = (fire_timers(platform.system, nudger, platform.clock) for _ in range(4))
            return sum(await asyncio.gather(*ticks))

        assert await fired() == 0, "nothing is due yet"
        platform.clock.advance(timedelta(hours=23, minutes=30).total_seconds())
        assert await fired() == 2
        assert await fired() == 0
        rows = await platform.rows("select kind, payload from inbox where kind <> 'message'")
        assert rows == [{"kind": "timer", "payload": {"timer": "idle"}}] * 2
        assert await platform.replies(2, FRIEND) == ["eco: olá", "Até logo!"]


class TestDecisions:
    async def test_a_decision_is_taken_once(self, platform: Platform) -> None:
        await answered(platform, "atendente", 1)
        waiting = await platform.row("select id, tenant_id, conversation_id from interrupts")
        decision = {"action": "return", "reply": "Já volto."}
        async with Database(platform.settings.database_url, size=4) as db:
            inbox = await inbox_of(platform, db)
            tries = [inbox.decide(waiting["tenant_id"], waiting["id"], decision) for _ in range(5)]
            results = await asyncio.gather(*tries, return_exceptions=True)
        assert [result for result in results if not isinstance(result, ConflictError)] == [waiting["conversation_id"]]
        assert await platform.row("select count(*) from inbox where kind = 'decision'") == {"count": 1}
        await platform.nudge()
        assert (await platform.replies(2))[1] == "Já volto."

    async def test_what_does_not_wait_cannot_be_decided(self, platform: Platform) -> None:
        tenant = await platform.row("select id from tenants")
        async with Database(platform.settings.database_url, size=1) as db:
            inbox = await inbox_of(platform, db)
            with pytest.raises(ConflictError, match="nothing-like-it"):
                await inbox.decide(tenant["id"], "nothing-like-it", {"action": "return"})

    async def test_another_tenant_cannot_decide(self, platform: Platform) -> None:
        await answered(platform, "atendente", 1)
        await platform.publish("vizinho", dict((await platform.row("select files from assistant_versions"))["files"]))
        stranger = await platform.row("select id from tenants where slug = 'vizinho'")
        waiting = await platform.row("select id from interrupts")
        async with Database(platform.settings.database_url, size=1) as db:
            inbox = await inbox_of(platform, db)
            with pytest.raises(ConflictError):
                await inbox.decide(stranger["id"], waiting["id"], {"action": "close"})
        assert await platform.row("select decision from interrupts") == {"decision": None}

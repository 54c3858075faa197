"""What comes in is there once, however often and however fast Twilio says it."""

import asyncio
import random
import socket
import uuid
from typing import Any

import redis

from tests.platform import ACCOUNT_SID, CONTACT, TENANT, Log, Platform

OTHER_ACCOUNT, OTHER_NUMBER, OTHER_TOKEN = "AC" + "9" * 32, "whatsapp:+551140000009", "the-other-token"
ACK = (200, '<?xml version="1.0" encoding="UTF-8"?><Response/>')
WAITS = "lifecycle:\n  debounce: 30s\n  idle: 23h"
"""Nothing is due before a test moves the clock, so what is pending stands still."""


def sid() -> str:
    return f"SM{uuid.uuid4().hex}"


async def counted(platform: Platform) -> tuple[int, int]:
    """(rows waiting, rows) of the inbox; `pending` must say the same of every conversation."""
    found = await platform.rows(
        """select v.pending, v.due_at is not null as due, count(i.id) filter (where i.disposition is null) as waiting,
               count(i.id) as stored
           from conversations v left join inbox i on i.conversation_id = v.id group by v.id"""
    )
    for each in found:
        assert each["pending"] == each["waiting"], found
        assert each["due"] == (each["pending"] > 0), found
    return sum(each["waiting"] for each in found), sum(each["stored"] for each in found)


async def contact_row(platform: Platform, contact: str = CONTACT) -> dict[str, Any]:
    return await platform.row("select * from contacts where address = %(contact)s", contact=contact)


async def test_twenty_copies_at_once_are_one_message(platform: Platform) -> None:
    await platform.republish("lifecycle:\n  idle: 23h", WAITS)
    first, second = platform.webhook("oi"), platform.webhook("tudo bem?")
    for expected, copies in enumerate((first, second), 1):
        # The first time the contact and the conversation are new, too.
        answers = await asyncio.gather(*(platform.post(copies) for _ in range(20)))
        assert answers == [ACK] * 20
        assert await counted(platform) == (expected, expected)
    assert len(await platform.rows("select 1 from contacts")) == 1
    platform.clock.advance(32)
    assert await platform.replies(1) == ["eco: oi\ntudo bem?"]
    assert await counted(platform) == (0, 2)


async def test_a_copy_that_comes_later_changes_nothing(platform: Platform, log: Log) -> None:
    message = platform.webhook("oi")
    assert await platform.post(message) == ACK
    await platform.nudge()
    await platform.replies(1)
    before = await platform.row("select * from conversations"), await contact_row(platform)
    log.clear()
    for _ in range(3):
        platform.clock.advance(3600)
        assert await platform.post(message) == ACK
    assert (await platform.row("select * from conversations"), await contact_row(platform)) == before
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]
    assert await counted(platform) == (0, 1)
    assert [line["event"] for line in log.lines] == ["duplicate message"] * 3
    assert "oi" not in [value for line in log.lines for value in line.values()]


async def test_a_copy_moves_neither_the_window_nor_the_debounce(platform: Platform) -> None:
    await platform.republish("lifecycle:\n  idle: 23h", WAITS)
    message = platform.webhook("oi")
    await platform.post(message)
    seen, due = (
        (await contact_row(platform))["last_inbound_at"],
        await platform.rows("select due_at from conversations"),
    )
    platform.clock.advance(10)
    await platform.post(message)
    assert (await contact_row(platform))["last_inbound_at"] == seen
    assert await platform.rows("select due_at from conversations") == due
    await platform.say("oi de novo")
    assert (await contact_row(platform))["last_inbound_at"] > seen
    assert await platform.rows("select due_at from conversations") != due


async def test_a_known_sid_with_another_text_or_sender_is_a_copy(platform: Platform) -> None:
    """Nobody but Twilio signs, yet a captured request must not become a second message."""
    await platform.republish("lifecycle:\n  idle: 23h", WAITS)
    known = sid()
    await platform.say("oi", MessageSid=known)
    await platform.say("outra coisa", MessageSid=known)
    await platform.say("outra pessoa", MessageSid=known, contact="whatsapp:+5511990000002")
    assert [row["body"] for row in await platform.rows("select body from inbox")] == ["oi"]
    assert len(await platform.rows("select 1 from contacts")) == 1
    assert await counted(platform) == (1, 1)


async def test_the_same_sid_in_two_accounts_is_two_messages(platform: Platform) -> None:
    await platform.republish("lifecycle:\n  idle: 23h", WAITS)
    await platform.add_channel(TENANT, OTHER_NUMBER, OTHER_ACCOUNT, OTHER_TOKEN)
    known = sid()
    await platform.say("uma", MessageSid=known)
    other = platform.webhook("outra", MessageSid=known, To=OTHER_NUMBER, AccountSid=OTHER_ACCOUNT)
    assert await platform.post(other, token=OTHER_TOKEN) == ACK
    rows = await platform.rows("select account_sid, provider_sid, body from inbox order by id")
    assert rows == [
        {"account_sid": ACCOUNT_SID, "provider_sid": known, "body": "uma"},
        {"account_sid": OTHER_ACCOUNT, "provider_sid": known, "body": "outra"},
    ]
    assert await counted(platform) == (2, 2)


async def test_a_storm_of_copies_and_contacts_is_counted_right(platform: Platform) -> None:
    await platform.republish("lifecycle:\n  idle: 23h", WAITS)
    contacts = [f"whatsapp:+551199000{n:04}" for n in range(4)]
    messages = [platform.webhook(f"{n}", contact=contact) for contact in contacts for n in range(6)]
    storm = [message for message in messages for _ in range(4)]
    random.Random(7).shuffle(storm)
    assert set(await asyncio.gather(*map(platform.post, storm))) == {ACK}
    assert await counted(platform) == (24, 24)
    assert len(await platform.rows("select 1 from conversations")) == 4
    platform.clock.advance(32)
    for contact in contacts:
        (reply,) = await platform.replies(1, contact)
        assert sorted(reply.removeprefix("eco: ").split("\n")) == ["0", "1", "2", "3", "4", "5"]
    assert await counted(platform) == (0, 24)
    # What waited together is one turn, in the order in which it was stored.
    assert await platform.rows("select turn from turns") == [{"turn": 1}] * 4


async def test_what_comes_while_a_turn_runs_is_the_next_turn(platform: Platform) -> None:
    await platform.say("lento")
    await platform.nudge()

    async def thinking() -> bool:
        return bool(await platform.rows("select 1 from conversations where owner is not null"))

    await platform.until(thinking, "the turn to begin")
    assert await platform.post(platform.webhook("lento, por favor")) == ACK
    await platform.say("tchauzinho")
    assert await counted(platform) == (3, 3)
    await platform.nudge()
    assert await platform.replies(2) == ["cheguei - lento", "cheguei - lento, por favor\ntchauzinho"]
    assert await counted(platform) == (0, 3)
    assert await platform.rows("select turn from inbox order by id") == [{"turn": 1}, {"turn": 2}, {"turn": 2}]


class TestWithoutRedis:
    async def test_a_message_is_acknowledged_and_a_sweep_answers_it(self, platform: Platform, log: Log) -> None:
        async with platform.api(redis_url="redis://127.0.0.1:1/0") as at:
            assert await platform.post(platform.webhook("oi"), at=at) == ACK

            async def noticed() -> bool:
                return any(line["event"] == "nudge lost" for line in log.lines)

            await platform.until(noticed, "the lost nudge to be logged")
        platform.clock.advance(1.5)
        assert await platform.replies(1) == ["eco: oi"]

    async def test_an_address_that_never_answers_delays_nothing(self, platform: Platform) -> None:
        """A listener that accepts and says nothing is worse than one that is not there."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0"
            async with platform.api(redis_url=url) as at, asyncio.timeout(4):
                for n in range(5):
                    # Each for a contact of its own, so each has a nudge to send.
                    message = platform.webhook("oi", contact=f"whatsapp:+551199100{n:04}")
                    assert await platform.post(message, at=at) == ACK
                silent.close()
        platform.clock.advance(1.5)
        assert await platform.replies(1, "whatsapp:+5511991000004") == ["eco: oi"]

    async def test_an_emptied_redis_loses_no_message(self, platform: Platform) -> None:
        await platform.say("oi")
        with redis.Redis.from_url(platform.settings.redis_url) as client:

            async def nudged() -> bool:
                return bool(client.keys("*"))

            await platform.until(nudged, "the nudge")
            client.flushall()
        platform.clock.advance(1.5)
        assert await platform.replies(1) == ["eco: oi"]

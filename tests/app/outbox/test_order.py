"""Per contact in order, each row once: what one row's fate means for those behind it."""

from datetime import timedelta
from typing import Any

import pytest

from tests.app.channels.scripted_twilio import refused
from tests.app.outbox import outbox_rows as rows
from tests.app.outbox.twilio_faults import SETTLED, faulty
from tests.app.turns.drivers import ask
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, TENANT, TOKEN, Log, Platform

FRIEND = "whatsapp:+5511990000002"


async def test_a_long_reply_is_several_rows_that_arrive_in_order(platform: Platform) -> None:
    await platform.say("longo")
    await platform.nudge()
    parts = await platform.replies(3)
    assert " ".join(parts).split() == [f"palavra{n}" for n in range(400)]
    assert max(map(len, parts)) <= 1600
    stored = await platform.rows("select body, turn, author from outbox order by id")
    assert [row["body"] for row in stored] == parts
    assert {(row["turn"], row["author"]) for row in stored} == {(1, "assistant")}


async def test_replies_of_several_turns_arrive_in_order(platform: Platform) -> None:
    for number in range(5):
        await platform.say(f"pergunta {number}")
        await platform.nudge()
        await platform.until(lambda: platform.rows("select 1 from conversations where pending = 0"), "the turn")
    assert await platform.replies(5) == [f"eco: pergunta {number}" for number in range(5)]


async def test_many_rows_go_one_after_another(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        bodies = [f"{n}" for n in range(30)]
        made = await rows.queue(platform, await rows.conversation(platform), *bodies)
        await rows.until(platform, made[-1], "sent")
        assert twilio.posted == bodies
        stored = await platform.rows("select status, attempts, provider_sid from outbox")
        assert {(row["status"], row["attempts"]) for row in stored} == {("sent", 1)}
        assert len({row["provider_sid"] for row in stored}) == 30


@pytest.mark.parametrize("code", [21211, 21610, 63016])
async def test_a_refused_row_fails_and_the_next_is_sent(platform: Platform, log: Log, code: int) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(refused(400, code))
        made = await rows.queue(platform, await rows.conversation(platform), "um segredo", "dois")
        assert (await rows.until(platform, made[0], "failed"))["error_code"] == str(code)
        await rows.until(platform, made[1], "sent")
        platform.clock.advance(3600)
        await platform.quiet()
        assert twilio.posted == ["um segredo", "dois"]
    assert [line["error_code"] for line in log.lines if line.get("outbox_id") == made[0]] == [str(code)]
    assert "segredo" not in log.text


async def test_an_address_that_twilio_does_not_take(platform: Platform) -> None:
    conversation = await rows.conversation(platform, "whatsapp:+0123456")
    made = await rows.queue(platform, conversation, "um", "dois")
    for outbox_id in made:
        assert (await rows.until(platform, outbox_id, "failed"))["error_code"] == "21211"


async def test_a_rate_limit_is_waited_out_and_nothing_overtakes(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(refused(429, 20429, Retry_After="7"))
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        now = platform.clock()
        waiting = await rows.until(platform, made[0], "retrying")
        assert waiting["due_at"] >= now + timedelta(seconds=7)
        platform.clock.advance(5)
        other = await rows.queue(platform, await rows.conversation(platform, FRIEND), "três")
        await rows.until(platform, other[0], "sent")
        assert twilio.posted == ["um", "três"]
        platform.clock.advance(10)
        await rows.until(platform, made[1], "sent")
        assert twilio.posted == ["um", "três", "um", "dois"]
        assert (await rows.row(platform, made[0]))["attempts"] == 2
        assert twilio.looked_up == 0, "a rate limit leaves nothing to look up"


async def test_each_try_waits_longer_up_to_a_minute(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.extend(refused(429, 20429) for _ in range(7))
        (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
        waits = []
        for attempt in range(1, 8):

            async def tried(attempt: int = attempt) -> bool:
                found = await rows.row(platform, outbox_id)
                return (found["status"], found["attempts"]) == ("retrying", attempt)

            await platform.until(tried, f"attempt {attempt}")
            found = await rows.row(platform, outbox_id)
            waits.append((found["due_at"] - found["attempted_at"]).total_seconds())
            platform.clock.advance(waits[-1] + 1)
        await rows.until(platform, outbox_id, "sent")
    expected = [1, 2, 5, 15, 60, 60, 60]
    # A fifth more, so that rows that failed together do not come back together; and the post itself takes a moment.
    assert all(low <= wait <= low * 1.2 + 5 for low, wait in zip(expected, waits, strict=True)), waits


async def test_a_reply_outside_the_24_hours_is_given_up(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(refused(429, 20429))
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        await rows.until(platform, made[0], "retrying")
        platform.clock.advance(timedelta(hours=24).total_seconds())
        for outbox_id in made:
            assert (await rows.until(platform, outbox_id, "failed"))["error_code"] == "too old to be sent"
        assert twilio.posted == ["um"]


async def test_a_wrong_token_is_no_reason_to_drop_a_message(platform: Platform) -> None:
    number = {"account_sid": ACCOUNT_SID, "address": NUMBER, "webhook_url": f"{platform.settings.public_url}/x"}
    await platform.control(platform.servers.twilio, "numbers", number | {"auth_token": "a-newer-token"})
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    assert (await rows.until(platform, made[0], "retrying"))["error_code"] == "twilio 20003"
    assert await rows.statuses(platform, *made) == ["retrying", "queued"]
    await platform.control(platform.servers.twilio, "numbers", number | {"auth_token": TOKEN})
    platform.clock.advance(6)
    await rows.until(platform, made[1], "delivered", "sent")
    assert await platform.delivered() == ["um", "dois"]


async def test_without_the_key_of_the_channel_a_row_waits(platform: Platform, log: Log) -> None:
    """A worker with a wrong RECADO_SECRET_KEY must not burn messages: another one can send them."""
    assert platform.engine is not None
    await platform.engine.close()
    key = platform.settings.secret_key
    async with platform.worker(secret_key="A" * 43 + "="):
        (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "um")
        assert (await rows.until(platform, outbox_id, "retrying"))["error_code"] == "channel unusable"
    assert TOKEN not in log.text
    assert key not in log.text
    platform.clock.advance(80)
    async with platform.worker():
        await rows.until(platform, outbox_id, "sent", "delivered")
    assert await platform.delivered() == ["um"]


async def test_contacts_do_not_wait_for_each_other(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(refused(429, 20429, Retry_After="3600"))
        (held,) = await rows.queue(platform, await rows.conversation(platform, CONTACT), "um")
        await rows.until(platform, held, "retrying")
        for n in range(10):
            (free,) = await rows.queue(platform, await rows.conversation(platform, f"whatsapp:+55119900010{n}"), "x")
            await rows.until(platform, free, "sent")
        assert await rows.statuses(platform, held) == ["retrying"]


async def test_a_closed_conversations_goodbye_still_goes_out(platform: Platform) -> None:
    made = await rows.queue(platform, await rows.conversation(platform, slug=TENANT), "um", "até logo")
    await rows.conversation(platform, slug=TENANT)
    await rows.until(platform, made[1], "sent", "delivered")
    assert await platform.delivered() == ["um", "até logo"]


async def test_a_goodbye_is_sent_before_the_next_answer(platform: Platform) -> None:
    """The old conversation's goodbye is unanswered, and the contact opens a new conversation."""
    await ask(platform, "oi")
    await faulty(platform, "p_500", callbacks=False)
    await platform.say("tchau")
    await platform.nudge()
    goodbye = await _unanswered(platform)
    await platform.say("quero marcar uma consulta")
    await platform.nudge()
    await platform.until(lambda: platform.rows("select 1 from turns where turn = 1 offset 1"), "the next turn")
    platform.clock.advance(SETTLED)
    await rows.until(platform, goodbye["id"], "sent", hurry=0.5)
    await platform.replies(3)
    stored = await platform.rows("select body, conversation_id from outbox order by id")
    assert len({row["conversation_id"] for row in stored}) == 2
    assert await platform.delivered() == [row["body"] for row in stored]


async def _unanswered(platform: Platform) -> dict[str, Any]:
    async def there() -> bool:
        return bool(await platform.rows("select 1 from outbox where status = 'unknown' and owner is null"))

    await platform.until(there, "the goodbye to be unanswered")
    return await platform.row("select * from outbox where status = 'unknown'")

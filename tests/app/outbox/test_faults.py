"""Whatever Twilio or the network does to a post, the contact gets each row once, and in order."""

import pytest

from tests.app.channels.scripted_twilio import DROP, ScriptedAnswer, refused
from tests.app.outbox import outbox_rows as rows
from tests.app.outbox.twilio_faults import SETTLED, faulty, twilio_has
from tests.platform import Platform

ACCEPTED = ["p_500_after", "p_hang", "p_drop"]
NOT_ACCEPTED = ["p_500", "p_refuse"]


async def exactly_once(platform: Platform, made: list[int], bodies: list[str]) -> None:
    """Each row is one message at Twilio, and knows which."""
    platform.clock.advance(3600)
    await platform.quiet()
    messages = await twilio_has(platform)
    assert [body for _, body in messages] == bodies
    stored = [(await rows.row(platform, outbox_id))["provider_sid"] for outbox_id in made]
    assert stored == [sid for sid, _ in messages]


@pytest.mark.parametrize("fault", ACCEPTED)
async def test_an_accepted_row_without_answer_is_not_reposted(platform: Platform, fault: str) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    await faulty(platform, fault, callbacks=False)
    async with platform.worker(send_timeout=1.0):
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        await rows.until(platform, made[0], "unknown")
        assert await rows.statuses(platform, *made) == ["unknown", "queued"], "nothing may overtake it"
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[1], "sent")
        assert await rows.statuses(platform, *made) == ["sent", "sent"]
        await exactly_once(platform, made, ["um", "dois"])


@pytest.mark.parametrize("fault", NOT_ACCEPTED)
async def test_what_was_not_accepted_is_posted_again_after_a_look(platform: Platform, fault: str) -> None:
    await faulty(platform, fault, callbacks=False)
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    await rows.until(platform, made[0], "unknown")
    assert await twilio_has(platform) == []
    platform.clock.advance(SETTLED)
    await rows.until(platform, made[1], "sent", hurry=0.5)
    assert (await rows.row(platform, made[0]))["attempts"] == 2
    await exactly_once(platform, made, ["um", "dois"])


@pytest.mark.parametrize("fault", ACCEPTED)
async def test_a_callback_makes_the_look_unnecessary(platform: Platform, fault: str) -> None:
    """Our id in the callback says which row it was, before the answer would have come or after."""
    assert platform.engine is not None
    await platform.engine.close()
    await faulty(platform, fault)
    async with platform.worker(send_timeout=1.0):
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        for outbox_id in made:
            await rows.until(platform, outbox_id, "delivered")
        assert (await rows.row(platform, made[0]))["attempts"] == 1
        await exactly_once(platform, made, ["um", "dois"])


async def test_a_rate_limit_is_posted_again_without_a_look(platform: Platform) -> None:
    await faulty(platform, "p_429")
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    await rows.until(platform, made[0], "retrying")
    await rows.until(platform, made[1], "delivered", hurry=0.5)
    await exactly_once(platform, made, ["um", "dois"])


async def test_a_run_of_failures_ends_in_one_delivery(platform: Platform) -> None:
    await faulty(platform, "p_500", count=4, callbacks=False)
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    await rows.until(platform, made[1], "sent", hurry=5)
    assert (await rows.row(platform, made[0]))["attempts"] == 5
    await exactly_once(platform, made, ["um", "dois"])


async def test_twilio_out_of_reach_is_waited_out(platform: Platform) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    async with platform.worker(twilio_api_url="http://127.0.0.1:1"):
        waiting = await rows.until(platform, made[0], "retrying")
        assert waiting["attempted_at"] < waiting["due_at"]
    platform.clock.advance(2)
    async with platform.worker():
        await rows.until(platform, made[1], "delivered")
    await exactly_once(platform, made, ["um", "dois"])


async def test_an_asynchronous_failure_is_final_and_the_next_row_goes(platform: Platform) -> None:
    plan = {"callbacks": {"p_undelivered": 1, "error_code": 63016, "count": 1}}
    await platform.control(platform.servers.twilio, "faults", plan)
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    assert (await rows.until(platform, made[0], "failed"))["error_code"] == "63016"
    await rows.until(platform, made[1], "delivered")
    await exactly_once(platform, made, ["um", "dois"])


@pytest.mark.parametrize("fault", ["p_duplicate", "p_reorder"])
async def test_callbacks_that_come_twice_or_swapped(platform: Platform, fault: str) -> None:
    await platform.control(platform.servers.twilio, "faults", {"callbacks": {fault: 1}})
    made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
    for outbox_id in made:
        await rows.until(platform, outbox_id, "delivered")

    async def all_told() -> bool:
        return len(await platform.rows("select 1 from status_callbacks")) == 4

    await platform.until(all_told, "both callbacks of both rows")
    assert await rows.statuses(platform, *made) == ["delivered", "delivered"]


@pytest.mark.parametrize(
    "answer",
    [ScriptedAnswer(201, []), ScriptedAnswer(201, b"<html>"), refused(503, 20503), DROP],
    ids=["a list", "html", "unavailable", "nothing"],
)
async def test_an_unreadable_answer_leaves_the_row_unknown(platform: Platform, answer: ScriptedAnswer) -> None:
    async with rows.scripted_worker(platform) as twilio:
        twilio.answers.append(answer)
        made = await rows.queue(platform, await rows.conversation(platform), "um", "dois")
        await rows.until(platform, made[0], "unknown")
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[1], "sent", hurry=0.5)
        assert twilio.posted == ["um", "um", "dois"]
        assert twilio.looked_up == 1

"""Rows whose post was never answered: looked up in time, adopted rightly, and parked when nobody can say."""

import uuid
from email.utils import format_datetime
from functools import partial
from typing import Any

import pytest

from tests.app.channels.scripted_twilio import ScriptedAnswer, ScriptedTwilio, refused
from tests.app.outbox import outbox_rows as rows
from tests.app.outbox.twilio_faults import SETTLED, faulty, twilio_has
from tests.platform import ACCOUNT_SID, CONTACT, NUMBER, Platform

WINDOW = 601
"""Seconds after which a row that cannot be looked up is parked."""


def listing(platform: Platform, *messages: tuple[str, str]) -> ScriptedAnswer:
    """Twilio's list, newest first, as of now."""
    made = [{"sid": sid, "body": body, "date_created": format_datetime(platform.clock())} for sid, body in messages]
    return ScriptedAnswer(200, {"messages": made, "page_size": 200})


async def unanswered(platform: Platform, twilio: ScriptedTwilio, *bodies: str, contact: str = CONTACT) -> list[int]:
    """Rows of which the first was posted, and nobody knows what became of it."""
    twilio.answers.append(refused(500, 20500))
    made = await rows.queue(platform, await rows.conversation(platform, contact), *bodies)
    await rows.until(platform, made[0], "unknown")
    return made


async def test_nothing_is_posted_before_twilio_had_time_to_list(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        (outbox_id,) = await unanswered(platform, twilio, "um")
        for looked_up in (1, 2):
            platform.clock.advance(2)
            await platform.until(partial(_looked, twilio, looked_up), f"look {looked_up}")
            await rows.until(platform, outbox_id, "unknown")
        assert twilio.posted == ["um"]
        platform.clock.advance(SETTLED)
        await rows.until(platform, outbox_id, "sent", hurry=0.5)
        assert twilio.posted == ["um", "um"]


async def test_what_is_found_is_adopted(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await unanswered(platform, twilio, "um", "dois")
        sid = f"SM{uuid.uuid4().hex}"
        twilio.listing = listing(platform, (f"SM{uuid.uuid4().hex}", "outro"), (sid, "um"))
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[1], "sent")
        found = await rows.row(platform, made[0])
        assert (found["status"], found["provider_sid"], found["attempts"]) == ("sent", sid, 1)
        assert twilio.posted == ["um", "dois"]


async def test_a_list_that_fails_is_read_again_until_it_can_be(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await unanswered(platform, twilio, "um", "dois")
        sid = f"SM{uuid.uuid4().hex}"
        there, twilio.listing = listing(platform, (sid, "um")), refused(500, 20500)
        for expected in (1, 2, 3):
            platform.clock.advance(SETTLED)
            await platform.until(partial(_looked, twilio, expected), f"look {expected}")
        assert await rows.statuses(platform, *made) == ["unknown", "queued"]
        twilio.listing = there
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[1], "sent")
        assert (await rows.row(platform, made[0]))["provider_sid"] == sid
        assert twilio.posted == ["um", "dois"]


async def _looked(twilio: ScriptedTwilio, times: int) -> bool:
    return twilio.looked_up >= times


async def parked(platform: Platform, twilio: ScriptedTwilio, *bodies: str) -> list[int]:
    """Rows of which the first was given up."""
    made = await unanswered(platform, twilio, *bodies)
    twilio.listing = refused(500, 20500)
    platform.clock.advance(WINDOW)

    async def given_up() -> bool:
        return (await rows.row(platform, made[0]))["parked_at"] is not None

    await platform.until(given_up, "the row to be parked")
    return made


async def test_an_undecidable_row_is_parked_and_later_rows_go(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await parked(platform, twilio, "um", "dois", "três")
        for outbox_id in made[1:]:
            await rows.until(platform, outbox_id, "sent")
        found = await rows.row(platform, made[0])
        assert (found["status"], found["owner"], found["provider_sid"]) == ("unknown", None, None)
        assert found["error_code"]
        for _ in range(3):
            platform.clock.advance(3600)
            await platform.quiet()
        assert twilio.posted == ["um", "dois", "três"], "a parked row is nobody's to post"


async def test_a_list_that_fails_is_not_proof_within_the_window(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await unanswered(platform, twilio, "um", "dois")
        twilio.listing = refused(500, 20500)
        platform.clock.advance(WINDOW - 60)
        await platform.until(partial(_looked, twilio, 1), "a look")
        await rows.until(platform, made[0], "unknown")
        assert (await rows.row(platform, made[0]))["parked_at"] is None
        assert await rows.statuses(platform, made[1]) == ["queued"]


@pytest.mark.parametrize("status", ["sent", "delivered", "failed"])
async def test_a_callback_takes_a_parked_row_up_again(platform: Platform, status: str) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await parked(platform, twilio, "um")
        sid = f"SM{uuid.uuid4().hex}"
        parameters = [("AccountSid", ACCOUNT_SID), ("From", NUMBER), ("MessageSid", sid), ("MessageStatus", status)]
        assert (await platform.post(parameters, path=f"/api/v1/twilio/status?o={made[0]}"))[0] == 200
        found = await rows.row(platform, made[0])
        assert (found["status"], found["provider_sid"], found["parked_at"]) == (status, sid, None)
        platform.clock.advance(WINDOW)
        await platform.quiet()
        assert twilio.posted == ["um"]


class TestEqualTexts:
    async def once_each(self, platform: Platform, made: list[int], body: str) -> None:
        """All rows went, each as a message of its own."""
        messages = await twilio_has(platform)
        assert [text for _, text in messages] == [body] * len(made)
        stored = [(await rows.row(platform, outbox_id))["provider_sid"] for outbox_id in made]
        assert sorted(stored) == sorted(sid for sid, _ in messages)

    @pytest.mark.parametrize("fault", ["p_500_after", "p_500", "p_drop", "p_refuse"])
    async def test_the_second_of_two_is_not_taken_for_the_first(self, platform: Platform, fault: str) -> None:
        conversation = await rows.conversation(platform)
        await faulty(platform, "p_500", count=0, callbacks=False)
        (first,) = await rows.queue(platform, conversation, "ok")
        await rows.until(platform, first, "sent")
        await faulty(platform, fault, callbacks=False)
        (second,) = await rows.queue(platform, conversation, "ok")
        await rows.until(platform, second, "unknown")
        platform.clock.advance(SETTLED)
        await rows.until(platform, second, "sent", hurry=0.5)
        await self.once_each(platform, [first, second], "ok")

    @pytest.mark.parametrize("fault", ["p_500_after", "p_500", "p_drop", "p_refuse"])
    async def test_the_first_of_two_is_not_taken_for_the_second(self, platform: Platform, fault: str) -> None:
        await faulty(platform, fault, callbacks=False)
        made = await rows.queue(platform, await rows.conversation(platform), "ok", "ok", "ok")
        await rows.until(platform, made[0], "unknown")
        platform.clock.advance(SETTLED)
        await rows.until(platform, made[2], "sent", hurry=0.5)
        await self.once_each(platform, made, "ok")

    async def test_a_message_from_before_the_attempt_is_not_adopted(self, platform: Platform) -> None:
        """No row knows it, and it is much older than the attempt."""
        async with rows.scripted_worker(platform) as twilio:
            platform.clock.advance(-1800)
            old = listing(platform, (f"SM{uuid.uuid4().hex}", "ok"))
            platform.clock.advance(1800)
            (outbox_id,) = await unanswered(platform, twilio, "ok")
            twilio.listing = old
            platform.clock.advance(SETTLED)
            await rows.until(platform, outbox_id, "sent", hurry=0.5)
            assert twilio.posted == ["ok", "ok"]

    async def test_a_message_older_than_an_earlier_row_is_not_adopted(self, platform: Platform) -> None:
        """No row knows it, and the contact's earlier row was posted after it."""
        async with rows.scripted_worker(platform) as twilio:
            conversation = await rows.conversation(platform)
            (earlier,) = await rows.queue(platform, conversation, "um")
            known = (await rows.until(platform, earlier, "sent"))["provider_sid"]
            twilio.answers.append(refused(500, 20500))
            (outbox_id,) = await rows.queue(platform, conversation, "ok")
            await rows.until(platform, outbox_id, "unknown")
            platform.clock.advance(-5)
            old = listing(platform, (f"SM{uuid.uuid4().hex}", "ok"))
            platform.clock.advance(5)
            twilio.listing = listing(platform, (known, "um"))
            twilio.listing.body["messages"] += old.body["messages"]
            platform.clock.advance(SETTLED)
            await rows.until(platform, outbox_id, "sent", hurry=0.5)
            assert twilio.posted == ["um", "ok", "ok"]

    @pytest.mark.parametrize("fault", ["p_500_after", "p_500", "p_drop", "p_refuse"])
    async def test_two_conversations_of_one_contact_share_no_message(self, platform: Platform, fault: str) -> None:
        """One text in a closed and in a new conversation. Both posts are unanswered."""
        await faulty(platform, fault, callbacks=False)
        (first,) = await rows.queue(platform, await rows.conversation(platform), "ok")
        await rows.until(platform, first, "unknown")
        (second,) = await rows.queue(platform, await rows.conversation(platform), "ok")
        await faulty(platform, "p_500_after", callbacks=False)
        await rows.until(platform, second, "sent", hurry=0.5)
        await self.once_each(platform, [first, second], "ok")


async def test_concurrent_lookups_never_share_a_message(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        contacts = [CONTACT, "whatsapp:+5511990000002"]
        made = [(await unanswered(platform, twilio, "ok", contact=contact))[0] for contact in contacts]
        sids = [f"SM{uuid.uuid4().hex}" for _ in range(2)]
        twilio.listing, twilio.answer_after_lookups = listing(platform, *((sid, "ok") for sid in sids)), 2
        platform.clock.advance(SETTLED)
        adopted = [(await rows.until(platform, outbox_id, "sent"))["provider_sid"] for outbox_id in made]
        assert sorted(adopted) == sorted(sids)
        assert twilio.posted == ["ok", "ok"]


@pytest.mark.parametrize("ahead", [0.0, 5.0, 3600.0, -5.0, -3600.0])
async def test_a_wrong_clock_of_ours_delivers_nothing_twice(platform: Platform, ahead: float) -> None:
    platform.clock.advance(ahead)
    await faulty(platform, "p_drop", callbacks=False)
    (outbox_id,) = await rows.queue(platform, await rows.conversation(platform), "Sua consulta foi marcada.")
    await rows.until(platform, outbox_id, "unknown")
    platform.clock.advance(SETTLED)
    found = await rows.until(platform, outbox_id, "sent", hurry=0.5)
    assert [sid for sid, _ in await twilio_has(platform)] == [found["provider_sid"]]


async def test_white_space_that_twilio_changes_does_not_hide_a_message(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        (outbox_id,) = await unanswered(platform, twilio, "um\n\n  dois \n três")
        sid = f"SM{uuid.uuid4().hex}"
        twilio.listing = listing(platform, (sid, "um dois três"))
        platform.clock.advance(SETTLED)
        assert (await rows.until(platform, outbox_id, "sent"))["provider_sid"] == sid


async def test_an_unreadable_list_proves_nothing(platform: Platform) -> None:
    async with rows.scripted_worker(platform) as twilio:
        made = await unanswered(platform, twilio, "um", "dois")
        twilio.listing = ScriptedAnswer(200, [])
        platform.clock.advance(WINDOW)
        await rows.until(platform, made[1], "sent", hurry=0.5)
        found: dict[str, Any] = await rows.row(platform, made[0])
        assert (found["status"], found["parked_at"] is not None) == ("unknown", True)
        assert twilio.posted == ["um", "dois"]

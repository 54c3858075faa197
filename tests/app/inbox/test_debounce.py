"""Several messages in a row are one question: the turn waits for the last, but not for ever."""

from datetime import datetime, timedelta

from tests.platform import CONTACT, Platform

DEBOUNCE, CAP = timedelta(seconds=10), timedelta(seconds=25)


async def patient(platform: Platform) -> None:
    await platform.republish("lifecycle:\n", "lifecycle:\n  debounce: 10s\n  debounce_cap: 25s\n")


async def due(platform: Platform) -> datetime:
    found: datetime = (await platform.row("select due_at from conversations where status <> 'closed'"))["due_at"]
    return found


async def received(platform: Platform) -> list[datetime]:
    return [row["received_at"] for row in await platform.rows("select received_at from inbox order by id")]


async def nothing_happens(platform: Platform) -> None:
    """A sweep and a nudge now find nothing to do."""
    assert platform.engine is not None
    await platform.engine.sweep()
    await platform.nudge()
    await platform.quiet()
    assert await platform.delivered() == []
    assert await platform.rows("select 1 from turns") == []


async def test_messages_within_the_window_are_one_turn_in_order(platform: Platform) -> None:
    await patient(platform)
    for body in ("uma", "pergunta", "longa"):
        await platform.say(body)
        assert await due(platform) == (await received(platform))[-1] + DEBOUNCE
        platform.clock.advance(6)
        await nothing_happens(platform)
    platform.clock.advance(5)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: uma\npergunta\nlonga"]
    assert await platform.row("select count(*) from turns") == {"count": 1}
    rows = await platform.rows("select turn, disposition from inbox")
    assert rows == [{"turn": 1, "disposition": "answered"}] * 3


async def test_somebody_who_never_stops_is_answered_at_the_cap(platform: Platform) -> None:
    await patient(platform)
    for number in range(5):
        await platform.say(f"parte {number}")
        times = await received(platform)
        assert await due(platform) == min(times[-1] + DEBOUNCE, times[0] + CAP)
        platform.clock.advance(6)
        if number < 4:
            await nothing_happens(platform)
    # Thirty seconds have passed since the first message, and six since the last.
    await platform.nudge()
    assert await platform.replies(1) == ["eco: " + "\n".join(f"parte {n}" for n in range(5))]


async def test_the_next_question_has_a_window_of_its_own(platform: Platform) -> None:
    await patient(platform)
    for turn in (1, 2):
        await platform.say(f"pergunta {turn}")
        assert await due(platform) == (await received(platform))[-1] + DEBOUNCE
        platform.clock.advance(12)
        await platform.nudge()
        assert await platform.replies(turn) == [f"eco: pergunta {n}" for n in range(1, turn + 1)]
        assert await platform.row("select pending, pending_since, due_at from conversations") == {
            "pending": 0,
            "pending_since": None,
            "due_at": None,
        }


async def test_an_early_nudge_waits_for_the_debounce(platform: Platform) -> None:
    await patient(platform)
    await platform.say("oi")
    await platform.nudge()
    platform.clock.advance(12)
    # The nudge's timer runs on real seconds, so it is the sweep that finds the conversation due.
    assert await platform.replies(1) == ["eco: oi"]


async def test_contacts_do_not_wait_for_each_other(platform: Platform) -> None:
    await patient(platform)
    await platform.say("oi")
    platform.clock.advance(8)
    await platform.say("olá", contact="whatsapp:+5511990000002")
    platform.clock.advance(4)
    await platform.nudge()
    assert await platform.replies(1, CONTACT) == ["eco: oi"]
    assert await platform.delivered("whatsapp:+5511990000002") == []
    platform.clock.advance(8)
    assert await platform.replies(1, "whatsapp:+5511990000002") == ["eco: olá"]

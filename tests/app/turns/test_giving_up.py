"""Turns that fail: tried again with patience, then given up visibly, and the conversation goes on."""

from collections.abc import Callable

import pytest

from app.telemetry import Milestone
from app.turns.turn import RETRY_AFTER
from tests.app.turns.drivers import ask, decide, once, replies_to
from tests.platform import Platform

APOLOGY = "Desculpe, tive um problema."


class Broken(Exception):
    """Something that nobody expected."""


def always(milestone: Milestone) -> Callable[[Milestone], None]:
    """Fails whenever this milestone is reached."""

    def reached(reached_now: Milestone) -> None:
        if reached_now is milestone:
            raise Broken

    return reached


async def tried_until_given_up(platform: Platform, text: str | None = None) -> int:
    """Lets the turn be tried as often as it is tried, and says how often."""
    if text is not None:
        await platform.say(text)
    first = platform.reached.count(Milestone.TURN_CLAIMED)
    await platform.nudge()
    for _ in range(20):
        await platform.until(lambda: nobody_at_work(platform), "the try to end")
        if not await platform.rows("select 1 from conversations where pending > 0"):
            break
        platform.clock.advance(max(RETRY_AFTER) + 1)
        await platform.nudge()
    await platform.quiet()
    return platform.reached.count(Milestone.TURN_CLAIMED) - first - 1


async def nobody_at_work(platform: Platform) -> bool:
    assert platform.engine is not None
    return platform.engine.in_flight == 0


async def test_a_turn_that_always_fails_is_given_up_with_an_apology_and_an_error_on_record(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TURN_RUN)
    assert await tried_until_given_up(platform, "oi") == platform.settings.turn_attempts
    assert await platform.delivered() == [APOLOGY]
    turn = await platform.row("select turn, attempts, error, route from turns")
    assert (turn["turn"], turn["attempts"], turn["route"]) == (1, platform.settings.turn_attempts + 1, None)
    assert f"after {platform.settings.turn_attempts} attempts" in turn["error"]
    assert await platform.row("select disposition, turn from inbox") == {"disposition": "parked", "turn": 1}
    assert await platform.row("select attempts, last_error, owner from conversations") == {
        "attempts": 0,
        "last_error": None,
        "owner": None,
    }


async def test_after_a_turn_was_given_up_the_conversation_goes_on(platform: Platform) -> None:
    await ask(platform, "bom dia")
    platform.at_milestone = always(Milestone.TURN_RUN)
    await tried_until_given_up(platform, "veneno")
    platform.at_milestone = None
    assert (await ask(platform, "e agora?"))[0].endswith("e agora?")
    turns = await platform.rows("select turn, error is null as well from turns order by turn")
    assert turns == [{"turn": 1, "well": True}, {"turn": 2, "well": False}, {"turn": 3, "well": True}]


@pytest.mark.parametrize("point", [Milestone.TOOL_RUN, Milestone.TOOL_COMMITTED])
async def test_a_turn_given_up_among_its_tools_does_not_wedge_the_conversation(
    platform: Platform, point: Milestone
) -> None:
    """Its last leg left a call without a result, and providers refuse such a history for ever."""
    platform.at_milestone = always(point)
    await tried_until_given_up(platform, "quero marcar agora")
    assert await platform.delivered() == [APOLOGY]
    platform.at_milestone = None
    for text in ("bom dia", "boa tarde"):
        (reply,) = await ask(platform, text)
        assert reply.endswith(text)
    assert await platform.row("select status from conversations") == {"status": "bot"}


async def test_a_booking_of_a_turn_given_up_is_not_made_twice(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TOOL_COMMITTED)
    await tried_until_given_up(platform, "quero marcar agora")
    assert len(await platform.rows("select 1 from appointments")) == 1
    assert len(await platform.rows("select 1 from tool_calls")) == 1


async def test_every_try_waits_longer_than_the_one_before(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.TURN_RUN)
    await platform.say("oi")
    waits = []
    for _ in RETRY_AFTER:
        before = platform.clock()
        await platform.nudge()
        await platform.until(lambda: nobody_at_work(platform), "the try to end")
        due = (await platform.row("select due_at from conversations"))["due_at"]
        waits.append((due - before).total_seconds())
        platform.clock.advance(waits[-1])
    assert waits == sorted(waits)
    assert all(wait >= planned for wait, planned in zip(waits, RETRY_AFTER, strict=True))


async def test_between_tries_the_failure_is_there_to_be_seen(platform: Platform) -> None:
    platform.at_milestone = once(Milestone.TURN_RUN, _break)
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: nobody_at_work(platform), "the try to end")
    row = await platform.row("select attempts, last_error, owner, pending from conversations")
    assert row == {"attempts": 1, "last_error": "Broken", "owner": None, "pending": 1}
    platform.clock.advance(5)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]
    assert await platform.row("select attempts from turns") == {"attempts": 2}


def _break() -> None:
    raise Broken


async def test_after_a_decision_was_given_up_the_assistant_answers_again(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    platform.at_milestone = always(Milestone.TURN_RUN)
    await decide(platform, "return", "já volto")
    await tried_until_given_up(platform)
    platform.at_milestone = None
    assert (await platform.delivered())[-1] == "já volto", "the operator's words are owed to the contact"
    assert await platform.row("select status, wake_for from conversations") == {"status": "bot", "wake_for": "idle"}
    assert await platform.rows("select 1 from interrupts where resolved_at is null") == []
    (reply,) = await ask(platform, "e agora?")
    assert reply.endswith("e agora?")


async def test_a_turn_whose_every_try_gets_one_leg_further_comes_to_its_end(platform: Platform) -> None:
    platform.at_milestone = always(Milestone.LEG_COMMITTED)
    await tried_until_given_up(platform, "quero marcar agora")
    (reply,) = await platform.delivered()
    assert reply.startswith("marcado sala@")


async def test_a_tenant_that_has_published_nothing_loses_no_message(platform: Platform) -> None:
    await platform.rows("delete from assistants")
    await platform.say("oi")
    await platform.nudge()
    await platform.until(lambda: nobody_at_work(platform), "the try to end")
    row = await platform.row("select pending, attempts, last_error from conversations")
    assert row == {"pending": 1, "attempts": 0, "last_error": "no assistant is published"}
    await platform.republish("goodbye: Até logo!", "goodbye: Tchau!")
    platform.clock.advance(60)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: oi"]

"""Silent contacts: reminder, goodbye, expiry and rating."""

import pytest

from app.telemetry import Milestone
from tests.app.turns.drivers import (
    decide,
    drain,
    fire_timers,
    from_other_process,
    once,
    pending_interrupt,
    receive,
    replies_to,
)
from tests.platform import TENANT, Platform

HOUR = 3600
REMINDED, GOODBYE, QUESTION, THANKS = "Ainda está aí?", "Até logo!", "De 1 a 5, como foi?", "Obrigado!"
STICKER = {"NumMedia": "1", "MediaUrl0": "https://m/s", "MediaContentType0": "image/webp", "MessageType": "sticker"}
LIFECYCLE = f"""  idle: 2h
  idle_message: {REMINDED}
  expire: 20h
  csat: true
  csat_question: {QUESTION}
  csat_thanks: {THANKS}
"""


@pytest.fixture
async def platform(platform: Platform) -> Platform:
    """Publish a tenant with a lifecycle, and handoffs without a timeout."""
    await platform.republish("  idle: 23h\n", LIFECYCLE)
    row = await platform.row("select files from assistant_versions order by id desc limit 1")
    text = row["files"]["assistant.yaml"].replace("  timeout: 2h\n  on_timeout: return\n", "  sla: 5m\n")
    assert "sla" in text
    await platform.publish(TENANT, {**row["files"], "assistant.yaml": text})
    return platform


async def silence(platform: Platform, hours: float) -> list[str]:
    """Advance the clock by hours, and return the replies since then."""
    before = len(await platform.delivered())
    platform.clock.advance(hours * HOUR + 1)
    await fire_timers(platform)
    await drain(platform)
    return (await platform.delivered())[before:]


async def conversations(platform: Platform) -> list[tuple[str, int | None]]:
    """Return status and rating of each conversation, oldest first."""
    rows = await platform.rows("select status, rating from conversations order by opened_at")
    return [(row["status"], row["rating"]) for row in rows]


async def test_a_silent_contact_is_reminded_once_then_it_ends(platform: Platform) -> None:
    await replies_to(platform, "oi")
    assert await silence(platform, 1) == []
    assert await silence(platform, 1) == [REMINDED]
    assert await conversations(platform) == [("bot", None)]
    assert await silence(platform, 2) == [GOODBYE]
    assert await conversations(platform) == [("closed", None)]
    routes = await platform.rows("select route from turns order by turn")
    assert [row["route"]["why"] for row in routes][1:] == ["idle", "idle"]


async def test_an_answered_reminder_starts_the_idle_time_again(platform: Platform) -> None:
    await replies_to(platform, "quero marcar")
    assert await silence(platform, 2) == [REMINDED]
    before = await platform.row("select agent from turns where turn = 2")
    assert before["agent"] == "agenda"
    await replies_to(platform, "sim, estou")
    assert await silence(platform, 2) == [REMINDED]


async def test_the_reminder_is_in_what_the_model_reads(platform: Platform) -> None:
    await replies_to(platform, "oi")
    await silence(platform, 2)
    await replies_to(platform, "sim")
    asked = await platform.control(platform.servers.model, "requests?limit=100")
    assert [m["text"] for m in asked["requests"][-1]["messages"]][-2:] == [REMINDED, "sim"]


@pytest.mark.parametrize(
    ("answer", "rating"), [("5", 5), ("Nota 1!", 1), ("4 😀, obrigada", 4), ("3/5", 3), ("⭐⭐⭐⭐", 4)]
)
async def test_who_says_goodbye_is_asked_for_a_rating_and_thanked(platform: Platform, answer: str, rating: int) -> None:
    assert await replies_to(platform, "tchau") == [GOODBYE, QUESTION]
    assert await conversations(platform) == [("bot", None)]
    assert await replies_to(platform, answer) == [THANKS]
    assert await conversations(platform) == [("closed", rating)]
    assert (await platform.row("select route from turns where turn = 2"))["route"]["why"] == f"rated {rating}"


@pytest.mark.parametrize("text", ["Tem horário dia 3?", "Quero 2 limpezas", "Não me ligue às 2", "55", "0", "5 5"])
async def test_what_is_no_rating_is_answered(platform: Platform, text: str) -> None:
    await replies_to(platform, "tchau")
    assert await replies_to(platform, text) == [f"eco: {text}"]
    assert await conversations(platform) == [("bot", None)]


@pytest.mark.parametrize("text", ["👍", "obrigada", "Muito obrigado pela ajuda!", "não, obrigada", "ok", "🙏🏽❤️", ""])
async def test_thanks_are_no_rating_and_no_new_case(platform: Platform, text: str) -> None:
    await replies_to(platform, "tchau")
    if text:
        assert await replies_to(platform, text) == []
    else:
        await platform.say("", **STICKER)
        await drain(platform)
    assert await conversations(platform) == [("bot", None)]
    assert await replies_to(platform, "cinco") == [THANKS]
    assert await conversations(platform) == [("closed", 5)]


async def test_who_only_thanks_is_left_in_peace(platform: Platform) -> None:
    await replies_to(platform, "tchau")
    assert await replies_to(platform, "valeu!") == []
    assert await silence(platform, 2) == []
    assert await conversations(platform) == [("closed", None)]


async def test_a_rating_before_a_question_is_kept(platform: Platform) -> None:
    await replies_to(platform, "tchau")
    await platform.say("5")
    await platform.say("e abre sábado?")
    before = len(await platform.delivered())
    await drain(platform)
    assert (await platform.delivered())[before:] == ["eco: 5\ne abre sábado?"]
    assert await conversations(platform) == [("bot", 5)]


async def test_a_close_that_a_message_prevents_leaves_a_timer(platform: Platform) -> None:
    """An operator may decide while the goodbye is sent."""
    await replies_to(platform, "socorro")
    await decide(platform, "close", "Resolvido.")
    platform.at_milestone = once(Milestone.TURN_RUN, lambda: from_other_process(lambda: receive(platform, "espere")))
    await drain(platform)
    row = await platform.row("select status, wake_for from conversations")
    assert row["status"] == "bot"
    assert row["wake_for"] is not None


async def test_a_failed_reminder_closes_without_an_apology(platform: Platform) -> None:
    await replies_to(platform, "oi")
    before = await platform.delivered()
    await platform.rows("update checkpoint_blobs set blob = 'x', type = 'msgpack'")
    platform.clock.advance(2 * HOUR + 1)
    await fire_timers(platform)
    await platform.nudge()
    for _ in range(60):
        platform.clock.advance(30)
        await platform.nudge()
        await platform.quiet()
        if await conversations(platform) == [("closed", None)]:
            break
    assert await conversations(platform) == [("closed", None)]
    assert await platform.delivered() == before


async def test_a_question_instead_of_a_rating_is_answered(platform: Platform) -> None:
    await replies_to(platform, "tchau")
    assert await replies_to(platform, "aliás, tenho 6 dúvidas") == ["eco: aliás, tenho 6 dúvidas"]
    asked = await platform.control(platform.servers.model, "requests?limit=100")
    assert [m["text"] for m in asked["requests"][-1]["messages"][1:]] == ["aliás, tenho 6 dúvidas"]
    assert await replies_to(platform, "tchau") == [GOODBYE]
    assert await conversations(platform) == [("closed", None)]


async def test_who_does_not_rate_is_not_told_goodbye_twice(platform: Platform) -> None:
    await replies_to(platform, "tchau")
    assert await silence(platform, 2) == []
    assert await conversations(platform) == [("closed", None)]


async def test_an_operator_who_closes_lets_the_contact_be_asked(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    await decide(platform, "close", "Resolvido.")
    await drain(platform)
    assert (await platform.delivered())[-3:] == ["Resolvido.", GOODBYE, QUESTION]
    assert await replies_to(platform, "3") == [THANKS]
    assert await conversations(platform) == [("closed", 3)]


# Expiry.


async def test_what_nobody_takes_expires_without_a_word(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    assert (await pending_interrupt(platform))["due_at"] is not None
    assert await silence(platform, 20) == []
    assert await conversations(platform) == [("closed", None)]
    assert await platform.rows("select 1 from interrupts where resolved_at is null") == []
    assert await replies_to(platform, "oi") == ["eco: oi"]
    assert await conversations(platform) == [("closed", None), ("bot", None)]


async def test_a_message_to_a_waiting_conversation_moves_its_expiry(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    assert await silence(platform, 15) == []
    await replies_to(platform, "alguém?")
    assert await silence(platform, 15) == []
    assert await conversations(platform) == [("waiting", None)]
    await decide(platform, "return", "Cheguei.")
    await drain(platform)
    assert (await platform.delivered())[-1] == "Cheguei."


async def test_a_message_just_before_the_expiry_prevents_it(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    platform.clock.advance(20 * HOUR + 1)
    await fire_timers(platform)
    platform.at_milestone = once(
        Milestone.TURN_CLAIMED, lambda: from_other_process(lambda: receive(platform, "ainda espero"))
    )
    await drain(platform)
    await drain(platform)
    assert await conversations(platform) == [("waiting", None)]
    assert (await platform.row("select disposition from inbox where body = 'ainda espero'"))["disposition"] == "human"
    assert await silence(platform, 20) == []
    assert await conversations(platform) == [("closed", None)]

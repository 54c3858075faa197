"""WhatsApp's 24 hours: nothing free-form is posted later, and operators are told before they write, and afterwards."""

from uuid import UUID

import pytest

from app.assistants.service import Assistants
from app.channels.base import FREE_FORM_FOR
from app.conversations import commands
from app.conversations import service as conversations
from app.errors import ConflictError
from app.inbox.decisions import OperatorDecision, decide
from app.outbox.delivery_errors import WINDOW_CLOSED, reason_in_words
from tests.app.turns.drivers import ask, drain, fire_timers, inbox_of, pending_interrupt, replies_to
from tests.platform import TENANT, Platform

HOUR = 3600
GOODBYE = "Até logo!"
IDLE = "  idle: 20h\n  idle_message: Ainda por aí?\n"


async def failed(platform: Platform) -> list[tuple[str, str, str]]:
    """Return body, status and reason of what was not delivered, as operators see it."""
    rows = await conversations.undelivered(platform.system, TENANT, platform.clock())
    return [(row.author, row.body, reason_in_words(row.error_code)) for row in rows]


async def test_a_goodbye_after_24_hours_is_not_posted(platform: Platform) -> None:
    await platform.republish("  idle: 23h\n", IDLE)
    await replies_to(platform, "oi")
    for _ in range(2):
        platform.clock.advance(20 * HOUR + 1)
        await fire_timers(platform)
        await drain(platform)
    assert await platform.delivered() == ["eco: oi", "Ainda por aí?"]
    assert (await platform.row("select status from conversations"))["status"] == "closed"
    ((author, body, why),) = await failed(platform)
    assert (author, body) == ("assistant", GOODBYE)
    assert "24 hours old" in why
    # The contact writes again, and is answered.
    assert await replies_to(platform, "voltei") == ["eco: voltei"]


async def test_a_message_of_the_contact_opens_the_window_again(platform: Platform) -> None:
    await ask(platform, "oi")
    platform.clock.advance(FREE_FORM_FOR.total_seconds() - 60)
    await ask(platform, "ainda aqui")
    platform.clock.advance(2 * 60)
    await take_over(platform)
    await commands.reply(platform.system, await conversation(platform), "Olá", platform.clock)
    assert (await platform.replies(3))[2] == "Olá"


async def take_over(platform: Platform) -> None:
    await commands.take_over(platform.system, await conversation(platform), "ana", platform.clock)


async def conversation(platform: Platform) -> UUID:
    found: UUID = (await platform.row("select id from conversations where status <> 'closed'"))["id"]
    return found


async def test_an_operator_is_told_before_writing(platform: Platform) -> None:
    await ask(platform, "oi")
    await take_over(platform)
    platform.clock.advance(FREE_FORM_FOR.total_seconds() + 1)
    with pytest.raises(ConflictError, match=r"the contact wrote last at .* can be answered when it writes again"):
        await commands.reply(platform.system, await conversation(platform), "Olá", platform.clock)
    assert len(await platform.rows("select 1 from outbox")) == 1


async def test_a_late_decision_is_taken_without_a_reply_only(platform: Platform) -> None:
    await platform.republish("  timeout: 2h\n  on_timeout: return\n", "  sla: 5m\n")
    await replies_to(platform, "socorro")
    waiting = await pending_interrupt(platform)
    platform.clock.advance(30 * HOUR)
    inbox, assistants = inbox_of(platform), Assistants(platform.system)
    reply = OperatorDecision("return", reply="Desculpe a demora")
    with pytest.raises(ConflictError, match="WhatsApp takes free text only for 24 hours"):
        await decide(platform.system, assistants, inbox, waiting["id"], reply)
    await decide(platform.system, assistants, inbox, waiting["id"], OperatorDecision("return"))
    await drain(platform)
    assert (await platform.row("select status from conversations"))["status"] == "bot"


@pytest.mark.parametrize("code", ["63016", "63024", "99999"])
async def test_what_twilio_refuses_later_is_shown(platform: Platform, code: str) -> None:
    await platform.control(
        platform.servers.twilio, "faults", {"callbacks": {"p_undelivered": 1, "error_code": int(code)}}
    )
    await platform.say("oi")
    await platform.nudge()

    async def refused() -> bool:
        return bool(await failed(platform))

    await platform.until(refused, "the callback")
    ((_, body, why),) = await failed(platform)
    assert body == "eco: oi"
    assert code in why


def test_reasons_are_words() -> None:
    assert reason_in_words(WINDOW_CLOSED).startswith("the contact's last message is more than 24 hours old")
    assert reason_in_words("63024") == "the number is not on WhatsApp (63024)"
    assert reason_in_words("12") == "Twilio's error 12"
    assert reason_in_words(None) == reason_in_words("") == "Twilio did not say why"
    assert reason_in_words("too old to be sent") == "too old to be sent"

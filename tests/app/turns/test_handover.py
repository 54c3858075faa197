"""Handoffs: to the human, the time with the human, and the return."""

from typing import Any

import pytest

from app.errors import ConflictError
from app.telemetry import Milestone
from tests.app.turns.drivers import (
    ask,
    decide,
    drain,
    fire_timers,
    fire_timers_from_other_process,
    from_other_process,
    once,
    pending_interrupt,
    receive,
    replies_to,
)
from tests.platform import Platform

APOLOGY = "Desculpe, tive um problema."
HANDOFF = "Vou chamar uma pessoa."


async def status(platform: Platform) -> str:
    """Return the status of the only conversation."""
    return str((await platform.row("select status from conversations"))["status"])


async def dispositions(platform: Platform) -> list[tuple[str, str]]:
    """Return (kind, disposition) of all inbox rows."""
    rows = await platform.rows("select kind, disposition from inbox order by id")
    return [(row["kind"], row["disposition"]) for row in rows]


async def models_asked(platform: Platform) -> list[dict[str, Any]]:
    """Return the requests that models received."""
    answer = await platform.control(platform.servers.model, "requests?limit=1000")
    requests: list[dict[str, Any]] = answer["requests"]
    return requests


# On the way to a human.


@pytest.mark.parametrize(
    ("text", "replies", "reason"),
    [
        ("quero um atendente", [HANDOFF], "rule 1"),
        ("socorro", [HANDOFF], "pediu socorro"),
        ("recuse", [APOLOGY, HANDOFF], "the model failed: "),
        ("vazio", [APOLOGY, HANDOFF], "the model failed: the answer has neither text nor a well-formed tool call"),
        ("não falo com ninguém", [APOLOGY, HANDOFF], "the router failed: "),
    ],
)
async def test_a_handoff_is_announced_and_waits(platform: Platform, text: str, replies: list[str], reason: str) -> None:
    assert await replies_to(platform, text) == replies
    assert await status(platform) == "waiting"
    interrupt = await pending_interrupt(platform)
    assert interrupt["kind"] == "handoff"
    assert interrupt["payload"]["reason"].startswith(reason)
    assert interrupt["payload"]["queue"] == "recepcao"
    assert (interrupt["turn"], interrupt["decision"]) == (1, None)
    assert await dispositions(platform) == [("message", "answered")]
    assert await platform.row("select wake_for, owner from conversations") == {
        "wake_for": "handoff_timeout",
        "owner": None,
    }


async def test_a_model_that_is_down_leads_to_a_handoff(platform: Platform) -> None:
    await platform.control(platform.servers.model, "faults", {"p_503": 1})
    assert await replies_to(platform, "oi") == [APOLOGY, HANDOFF]
    assert await platform.row("select attempts, error from turns") == {"attempts": 1, "error": None}
    await platform.control(platform.servers.model, "faults", {})
    await decide(platform, "return")
    await drain(platform)
    (reply,) = await ask(platform, "e agora?")
    assert reply.endswith("e agora?")


# While a human has it.


async def test_messages_go_to_the_human_and_no_graph_runs(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    before = len(await models_asked(platform))
    for text in ("alô?", "atendente!", "tchau"):
        assert await replies_to(platform, text) == []
    assert await dispositions(platform) == [("message", "answered")] + [("message", "human")] * 3
    assert len(await models_asked(platform)) == before
    assert await status(platform) == "waiting"
    assert await platform.row("select turn, pending from conversations") == {"turn": 1, "pending": 0}
    assert len(await platform.rows("select 1 from interrupts")) == 1


async def test_messages_to_the_human_do_not_put_off_the_timeout(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    before = await platform.row("select wake_at, wake_for from conversations")
    platform.clock.advance(60)
    await replies_to(platform, "alô?")
    assert await platform.row("select wake_at, wake_for from conversations") == before


async def test_a_message_during_a_handoff_turn_goes_to_the_human(platform: Platform) -> None:
    platform.at_milestone = once(Milestone.TURN_RUN, lambda: from_other_process(lambda: receive(platform, "alô?")))
    assert await replies_to(platform, "quero um atendente") == [HANDOFF]
    assert await dispositions(platform) == [("message", "answered"), ("message", "human")]


async def test_a_quiet_contact_is_not_sent_away_while_a_human_has_it(platform: Platform) -> None:
    await platform.republish("timeout: 2h", "timeout: 4d")
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(25 * 3600)
    assert await fire_timers(platform) == 0


# Back.


async def test_after_a_return_the_assistant_knows_what_was_said(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    await replies_to(platform, "meu dente caiu")
    await decide(platform, "return", "Pode vir às 15h.")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Pode vir às 15h."]
    assert await status(platform) == "bot"
    assert await ask(platform, "obrigada") == ["eco: obrigada"]
    spoken = [(m["role"], m["text"]) for m in (await models_asked(platform))[-1]["messages"][1:] if m["text"]]
    assert spoken[0] == ("user", "socorro")
    assert spoken[-3:] == [
        ("user", "meu dente caiu"),
        ("assistant", "[operator] Pode vir às 15h."),
        ("user", "obrigada"),
    ]
    assert not [text for _, text in spoken if "takes over" in text]


async def test_given_back_without_words_nothing_is_said(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    await decide(platform, "return")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF]
    assert await dispositions(platform) == [("message", "answered"), ("decision", "resolved")]
    row = await platform.row("select resolved_at is not null as resolved, decision from interrupts")
    assert row == {"resolved": True, "decision": {"action": "return", "reply": None}}
    assert await platform.row("select wake_for from conversations") == {"wake_for": "idle"}


async def test_closed_by_the_operator_the_conversation_ends(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    await decide(platform, "close", "Combinado!")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Combinado!", "Até logo!"]
    assert await status(platform) == "closed"
    authors = [row["author"] for row in await platform.rows("select author from outbox order by id")]
    assert authors == ["assistant", "operator", "assistant"]


async def test_a_long_reply_of_the_operator_leaves_in_parts(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    await decide(platform, "return", "palavra " * 400)
    await drain(platform)
    parts = (await platform.delivered())[1:]
    assert len(parts) == 2
    assert " ".join(parts).split() == ["palavra"] * 400


async def test_a_second_decision_is_refused(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    interrupt = await pending_interrupt(platform)
    await decide(platform, "return", "primeira")
    with pytest.raises(ConflictError, match=f"interrupt {interrupt['id']} is not pending"):
        await decide(platform, "close", "segunda")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "primeira"]
    assert await dispositions(platform) == [("message", "answered"), ("decision", "resolved")]


async def test_a_message_after_the_decision_is_for_the_assistant(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    await platform.say("alô?")
    await decide(platform, "return", "já volto")
    await platform.say("quanto custa?")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "já volto", "eco: quanto custa?"]
    assert await dispositions(platform) == [
        ("message", "answered"),
        ("message", "human"),
        ("decision", "resolved"),
        ("message", "answered"),
    ]


@pytest.mark.parametrize("point", [Milestone.TURN_CLAIMED, Milestone.TURN_RUN])
async def test_a_message_during_the_return_is_for_the_assistant(platform: Platform, point: Milestone) -> None:
    await replies_to(platform, "quero um atendente")
    platform.at_milestone = once(point, lambda: from_other_process(lambda: receive(platform, "quanto custa?")))
    await decide(platform, "return", "já volto")
    await drain(platform)
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "já volto", "eco: quanto custa?"]


async def test_a_handoff_may_follow_a_handoff(platform: Platform) -> None:
    for number in (1, 2, 3):
        assert await replies_to(platform, "quero um atendente") == [HANDOFF]
        assert (await pending_interrupt(platform))["turn"] == 2 * number - 1
        await decide(platform, "return")
        await drain(platform)
    ids = await platform.rows("select id from interrupts where resolved_at is not null")
    assert len({row["id"] for row in ids}) == 3


async def test_the_model_sees_what_was_said_to_humans_once(platform: Platform) -> None:
    for text in ("primeira conversa", "segunda conversa"):
        await replies_to(platform, "quero um atendente")
        await replies_to(platform, text)
        await decide(platform, "return", "ok")
        await drain(platform)
    await ask(platform, "e agora?")
    texts = [message["text"] for message in (await models_asked(platform))[-1]["messages"]]
    assert (texts.count("primeira conversa"), texts.count("segunda conversa")) == (1, 1)


# Nobody comes.


async def test_a_handoff_that_nobody_takes_comes_back_after_its_time(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(2 * 3600 - 60)
    assert await fire_timers(platform) == 0
    platform.clock.advance(120)
    assert await fire_timers(platform) == 1
    await drain(platform)
    assert await platform.delivered() == [HANDOFF]
    assert await status(platform) == "bot"
    assert await dispositions(platform) == [("message", "answered"), ("timer", "resolved")]
    assert await ask(platform, "quanto custa?") == ["eco: quero um atendente\nquanto custa?"]


async def test_a_handoff_that_nobody_takes_may_end_the_conversation(platform: Platform) -> None:
    await platform.republish("on_timeout: return", "on_timeout: close")
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(2 * 3600 + 60)
    await fire_timers(platform)
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Até logo!"]
    assert await status(platform) == "closed"


async def test_without_a_timeout_a_handoff_waits_for_ever(platform: Platform) -> None:
    await platform.republish("  timeout: 2h\n", "")
    await replies_to(platform, "quero um atendente")
    assert await platform.row("select wake_at, wake_for from conversations") == {"wake_at": None, "wake_for": None}
    platform.clock.advance(365 * 86_400)
    assert await fire_timers(platform) == 0


async def test_a_decision_in_time_stops_the_timeout(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    await decide(platform, "return")
    await drain(platform)
    platform.clock.advance(3 * 3600)
    assert await fire_timers(platform) == 0


async def test_a_decision_and_the_timeout_at_once_are_one_return(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(2 * 3600 + 60)
    await decide(platform, "return", "cheguei")
    assert await fire_timers(platform) == 0
    await drain(platform)
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "cheguei"]
    assert await status(platform) == "bot"
    assert (await dispositions(platform))[1:] == [("decision", "resolved")]


async def test_a_timeout_just_before_a_reply_does_not_lose_it(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(2 * 3600 + 60)
    await fire_timers(platform)
    await decide(platform, "close", "cheguei")
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "cheguei", "Até logo!"]
    assert await status(platform) == "closed"


async def test_a_timeout_during_a_close_leaves_it_closed(platform: Platform) -> None:
    await replies_to(platform, "quero um atendente")
    platform.clock.advance(2 * 3600 + 60)

    async def fire() -> None:
        assert await fire_timers_from_other_process(platform) == 0

    platform.at_milestone = once(Milestone.TURN_RUN, lambda: from_other_process(fire))
    await decide(platform, "close", "Combinado!")
    await drain(platform)
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Combinado!", "Até logo!"]
    assert await status(platform) == "closed"

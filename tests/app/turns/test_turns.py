"""Turns: the rows that they take, their records, and messages that arrive during a turn."""

import pytest

from app.telemetry import Milestone
from tests.app.turns.drivers import (
    ask,
    drain,
    fire_timers,
    fire_timers_from_other_process,
    from_other_process,
    once,
    receive,
    replies_to,
)
from tests.platform import Platform

OTHER_CONTACT = "whatsapp:+5511990000002"

INBOX = "select body, disposition, turn from inbox order by id"


async def inbox(platform: Platform) -> list[tuple[str, str, int | None]]:
    """Return every inbox row with its disposition."""
    return [(row["body"], row["disposition"], row["turn"]) for row in await platform.rows(INBOX)]


async def status(platform: Platform) -> list[str]:
    """Return the status of every conversation, oldest first."""
    return [row["status"] for row in await platform.rows("select status from conversations order by opened_at")]


# On record.


async def test_route_agent_and_usage_are_on_record(platform: Platform) -> None:
    await ask(platform, "quero marcar agora")
    turn = await platform.row("select agent, route, usage, attempts, error, version_id from turns")
    assert (turn["agent"], turn["attempts"], turn["error"]) == ("agenda", 1, None)
    assert turn["route"] == {"to": "agenda", "why": "quer marcar"}
    assert [call["model"] for call in turn["usage"]] == ["openai/test-model"] * 4
    assert all(call["input_tokens"] > 0 and call["output_tokens"] > 0 for call in turn["usage"])
    assert turn["version_id"] == (await platform.row("select version_id from assistants"))["version_id"]


async def test_a_rule_is_on_record_and_costs_nothing(platform: Platform) -> None:
    await replies_to(platform, "tchau")
    turn = await platform.row("select route, usage from turns")
    assert turn["route"]["to"] == "close"
    assert turn["usage"] == []


async def test_every_turn_has_its_own_record(platform: Platform) -> None:
    for text in ("um", "dois", "três"):
        await ask(platform, text)
    turns = await platform.rows("select turn, claimed_at <= finished_at as timely from turns order by turn")
    assert turns == [{"turn": number, "timely": True} for number in (1, 2, 3)]
    assert await platform.row("select turn, pending, attempts from conversations") == {
        "turn": 3,
        "pending": 0,
        "attempts": 0,
    }


async def test_a_long_answer_leaves_in_parts_and_in_order(platform: Platform) -> None:
    parts = await ask(platform, "conte algo longo", replies=3)
    assert all(0 < len(part) <= 1600 for part in parts)
    assert " ".join(parts).split() == [f"palavra{number}" for number in range(400)]
    assert {row["turn"] for row in await platform.rows("select turn from outbox")} == {1}


# What comes in while a turn runs.

DURING = [
    Milestone.TURN_CLAIMED,
    Milestone.LEG_RUN,
    Milestone.LEG_COMMITTED,
    Milestone.TOOL_RUN,
    Milestone.TOOL_COMMITTED,
    Milestone.TURN_RUN,
    Milestone.TURN_COMMITTED,
    Milestone.ROW_POSTED,
]


@pytest.mark.parametrize("point", DURING)
async def test_a_message_during_a_turn_is_answered_by_the_next_one(platform: Platform, point: Milestone) -> None:
    platform.at_milestone = once(point, lambda: from_other_process(lambda: receive(platform, "e estacionamento?")))
    first, second = await ask(platform, "quero marcar agora", replies=2)
    assert first.startswith("marcado sala@")
    assert second == "eco: e estacionamento?"
    assert await inbox(platform) == [("quero marcar agora", "answered", 1), ("e estacionamento?", "answered", 2)]
    assert len(await platform.rows("select 1 from appointments")) == 1


async def test_several_messages_during_a_turn_are_answered_together(platform: Platform) -> None:
    async def burst() -> None:
        for text in ("a", "b", "c"):
            await receive(platform, text)

    platform.at_milestone = once(Milestone.LEG_COMMITTED, lambda: from_other_process(burst))
    first, second = await ask(platform, "quero marcar", replies=2)
    assert first.startswith("livre")
    assert second == "eco: a\nb\nc"
    assert await status(platform) == ["bot"]


async def test_what_a_begun_turn_did_not_take_is_not_called_answered(platform: Platform) -> None:
    """The next worker must not mark a message as answered that arrived after the committed leg."""

    class Dies(Exception):
        pass

    def die() -> None:
        from_other_process(lambda: receive(platform, "e estacionamento?"))
        raise Dies

    platform.at_milestone = once(Milestone.LEG_COMMITTED, die)
    await platform.say("quero marcar")
    await platform.nudge()
    await platform.until(lambda: failed_once(platform), "the turn to fail")
    platform.clock.advance(5)
    await platform.nudge()
    first, second = await platform.replies(2)
    assert first.startswith("livre")
    assert second == "eco: e estacionamento?"


async def failed_once(platform: Platform) -> bool:
    return bool(await platform.rows("select 1 from conversations where last_error is not null"))


async def test_a_burst_within_the_debounce_is_one_turn(platform: Platform) -> None:
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 2s")
    for text in "abcde":
        await platform.say(text)
        await platform.nudge()
    assert await platform.delivered() == []
    platform.clock.advance(2.1)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: a\nb\nc\nd\ne"]
    assert [turn for _, _, turn in await inbox(platform)] == [1] * 5


async def test_a_contact_who_keeps_writing_is_answered_at_the_cap(platform: Platform) -> None:
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 10s\n  debounce_cap: 25s")
    for text in "abc":
        await platform.say(text)
        platform.clock.advance(9)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: a\nb\nc"]


async def test_a_new_burst_waits_its_own_time(platform: Platform) -> None:
    """The cap starts with the first waiting message, not with one that a turn has taken."""
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 10s\n  debounce_cap: 25s")

    def later() -> None:
        platform.clock.advance(30)
        from_other_process(lambda: receive(platform, "b"))

    platform.at_milestone = once(Milestone.TURN_RUN, later)
    await platform.say("a")
    platform.clock.advance(10.1)
    await platform.nudge()
    assert await platform.replies(1) == ["eco: a"]
    due = await platform.row(
        "select extract(epoch from due_at - %(now)s)::int as wait from conversations", now=platform.clock()
    )
    assert due["wait"] in range(8, 11), "a whole debounce from the message on"


async def test_more_messages_than_one_turn_takes_are_all_answered(platform: Platform) -> None:
    await platform.republish("idle: 23h", "idle: 23h\n  debounce: 60s")
    texts = [f"m{number:02}" for number in range(60)]
    for text in texts:
        await platform.say(text)
    platform.clock.advance(61)
    await platform.nudge()
    first, second = await platform.replies(2)
    assert first.removeprefix("eco: ").split() + second.removeprefix("eco: ").split() == texts


async def test_contacts_do_not_wait_for_each_other(platform: Platform) -> None:
    await platform.say("lento, por favor")
    await platform.say("oi", contact=OTHER_CONTACT)
    await platform.nudge()
    await platform.replies(1, OTHER_CONTACT)
    await platform.replies(1)
    finished = await platform.rows(
        "select k.address from turns t join conversations c on c.id = t.conversation_id"
        " join contacts k on k.id = c.contact_id order by t.finished_at"
    )
    assert [row["address"] for row in finished] == [OTHER_CONTACT, "whatsapp:+5511990000001"]


# The end of a conversation.


async def test_a_message_after_the_goodbye_opens_a_new_conversation(platform: Platform) -> None:
    assert await replies_to(platform, "tchau") == ["Até logo!"]
    assert await status(platform) == ["closed"]
    assert await replies_to(platform, "oi de novo") == ["eco: oi de novo"]
    assert await status(platform) == ["closed", "bot"]


async def test_a_message_during_the_goodbye_is_answered(platform: Platform) -> None:
    platform.at_milestone = once(
        Milestone.TURN_RUN, lambda: from_other_process(lambda: receive(platform, "mais uma coisa"))
    )
    goodbye, answer = await ask(platform, "tchau", replies=2)
    assert goodbye == "Até logo!"
    assert answer.endswith("mais uma coisa")
    assert await status(platform) == ["bot"]
    row = await platform.row("select closed_at, wake_for from conversations")
    assert row == {"closed_at": None, "wake_for": "idle"}


async def test_a_quiet_contact_is_bid_goodbye(platform: Platform) -> None:
    await ask(platform, "oi")
    platform.clock.advance(23 * 3600 - 60)
    assert await fire_timers(platform) == 0
    platform.clock.advance(120)
    assert await fire_timers(platform) == 1
    assert await fire_timers(platform) == 0
    await drain(platform)
    assert await platform.delivered() == ["eco: oi", "Até logo!"]
    row = await platform.row("select status, wake_at, closed_at is not null as closed from conversations")
    assert row == {"status": "closed", "wake_at": None, "closed": True}


async def test_every_turn_starts_the_idle_time_anew(platform: Platform) -> None:
    await ask(platform, "oi")
    platform.clock.advance(20 * 3600)
    await ask(platform, "ainda aqui")
    platform.clock.advance(20 * 3600)
    assert await fire_timers(platform) == 0


async def test_who_writes_just_when_the_idle_time_ends_stays(platform: Platform) -> None:
    await ask(platform, "oi")
    platform.clock.advance(23 * 3600 + 60)
    await platform.say("voltei")
    assert await fire_timers(platform) == 0
    await drain(platform)
    assert await platform.delivered() == ["eco: oi", "eco: voltei"]
    assert await status(platform) == ["bot"]


@pytest.mark.parametrize("point", [Milestone.TURN_CLAIMED, Milestone.TURN_RUN])
async def test_an_idle_timer_during_a_turn_does_nothing(platform: Platform, point: Milestone) -> None:
    await ask(platform, "oi")
    platform.clock.advance(23 * 3600 + 60)

    async def fire() -> None:
        assert await fire_timers_from_other_process(platform) == 0

    platform.at_milestone = once(point, lambda: from_other_process(fire))
    await ask(platform, "voltei")
    await drain(platform)
    assert await platform.delivered() == ["eco: oi", "eco: voltei"]
    assert await status(platform) == ["bot"]
    assert await platform.row("select wake_for from conversations") == {"wake_for": "idle"}


async def test_an_idle_timer_during_the_goodbye_does_nothing(platform: Platform) -> None:
    await ask(platform, "oi")
    platform.clock.advance(23 * 3600 + 60)

    async def fire() -> None:
        assert await fire_timers_from_other_process(platform) == 0

    platform.at_milestone = once(Milestone.TURN_RUN, lambda: from_other_process(fire))
    await ask(platform, "tchau")
    await drain(platform)
    assert await platform.delivered() == ["eco: oi", "Até logo!"]
    assert await status(platform) == ["closed"]


# What models say and ask for that nobody expects.


async def test_nul_in_an_answer_does_not_fail_the_turn(platform: Platform) -> None:
    (reply, *_) = await ask(platform, "nulo")
    assert reply in ("antesdepois", "antes depois", "antes\ufffddepois", "Desculpe, tive um problema.")
    assert await platform.row("select attempts from turns") == {"attempts": 1}


async def test_nul_in_tool_arguments_does_not_fail_the_turn(platform: Platform) -> None:
    await ask(platform, "marcar nulo")
    assert await platform.row("select attempts from turns") == {"attempts": 1}


@pytest.mark.parametrize(
    "text",
    [
        "marcar muito longe",
        "marcar id sala@9999-12-31T08:00",
        "marcar id sala@0001-01-01T08:00",
        "marcar id sala@2026-02-30T08:00",
        "marcar id x@y@z",
    ],
)
async def test_a_time_that_is_none_is_an_answer_and_no_broken_turn(platform: Platform, text: str) -> None:
    (reply,) = await ask(platform, text)
    assert reply.startswith(("horários - ", "marcado ", "não marcado - "))
    assert await platform.row("select attempts from turns") == {"attempts": 1}

"""Operators take conversations over and close them while the assistant is at work: it does not talk over them."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest

from app.assistants.service import Assistants
from app.conversations import commands
from app.db import Database, Role
from app.errors import ConflictError
from app.inbox.take_over import take_over as take_over_conversation
from app.telemetry import Milestone
from tests.app.turns.drivers import (
    ask,
    decide,
    drain,
    fire_timers,
    from_other_process,
    once,
    pending_interrupt,
    replies_to,
)
from tests.platform import Platform

Command = Callable[[Database, UUID], Awaitable[None]]


async def conversation_id(platform: Platform) -> UUID:
    found: UUID = (await platform.row("select id from conversations where status <> 'closed'"))["id"]
    return found


def at(platform: Platform, milestone: Milestone, command: Command) -> None:
    """Run a command, as another process would, when the worker comes to a milestone."""

    async def run() -> None:
        async with Database(platform.settings.system_database_url, role=Role.SYSTEM, size=1) as system:
            async with system.statement() as tx:
                (row,) = await tx.all(dict, "select id from conversations where status <> 'closed'", {})
            await command(system, row["id"])

    platform.at_milestone = once(milestone, lambda: from_other_process(run))


async def take_over(platform: Platform) -> None:
    await commands.take_over(platform.system, await conversation_id(platform), "ana", platform.clock)


POINTS = [Milestone.TURN_CLAIMED, Milestone.LEG_RUN, Milestone.LEG_COMMITTED, Milestone.TURN_RUN]


@pytest.mark.parametrize("point", POINTS)
async def test_a_running_turn_does_not_talk_over_an_operator(platform: Platform, point: Milestone) -> None:
    at(platform, point, lambda system, id_: commands.take_over(system, id_, "ana", platform.clock))
    assert await replies_to(platform, "quero marcar agora") == []
    assert await platform.row("select status, pending, owner from conversations") == {
        "status": "human",
        "pending": 0,
        "owner": None,
    }
    assert await platform.row("select disposition from inbox") == {"disposition": "human"}
    assert (await pending_interrupt(platform))["payload"]["reason"] == "taken over by ana"
    assert await replies_to(platform, "oi?") == []
    await decide(platform, "return")
    await drain(platform)
    assert len(await ask(platform, "e aí?")) == 1, "the assistant answers again"


@pytest.mark.parametrize("point", POINTS)
async def test_a_running_turn_does_not_open_a_closed_one(platform: Platform, point: Milestone) -> None:
    at(platform, point, lambda system, id_: commands.close(system, id_, platform.clock))
    assert await replies_to(platform, "quero marcar agora") == []
    assert await platform.row("select status, pending, due_at, closed_at is null as is_open from conversations") == {
        "status": "closed",
        "pending": 0,
        "due_at": None,
        "is_open": False,
    }
    assert await ask(platform, "oi") == ["eco: oi"]
    assert len(await platform.rows("select 1 from conversations")) == 2


async def test_the_graph_is_given_what_was_said_meanwhile(platform: Platform) -> None:
    await ask(platform, "oi")
    await take_over(platform)
    assert await replies_to(platform, "meu pedido?") == []
    before = len(await platform.delivered())
    await commands.reply(platform.system, await conversation_id(platform), "Ja vai!", platform.clock)
    assert (await platform.replies(before + 1))[before:] == ["Ja vai!"]
    await decide(platform, "return")
    await drain(platform)
    await ask(platform, "obrigada")
    history = str(await platform.rows("select blob from checkpoint_blobs where channel = 'messages'"))
    assert "meu pedido?" in history
    assert "[operator] Ja vai!" in history


async def test_a_graph_that_waits_goes_on_waiting(platform: Platform) -> None:
    await ask(platform, "atendente")
    asked = await pending_interrupt(platform)
    await take_over(platform)
    assert await replies_to(platform, "alguém?") == []
    assert (await platform.row("select status from conversations"))["status"] == "human"
    assert (await pending_interrupt(platform))["id"] == asked["id"]
    await decide(platform, "return")
    await drain(platform)
    assert len(await ask(platform, "e aí?")) == 1, "the assistant answers again"


async def test_a_decision_before_it_is_not_carried_out(platform: Platform) -> None:
    """The worker has not resumed the graph yet."""
    await ask(platform, "atendente")
    await decide(platform, "return", reply="Pronto")
    await take_over(platform)
    await drain(platform)
    assert "Pronto" not in await platform.delivered()
    assert (await platform.row("select status from conversations"))["status"] == "human"
    assert await platform.row("select disposition from inbox where kind = 'decision'") == {"disposition": "superseded"}


async def test_a_turn_resolves_only_what_it_has_read(platform: Platform) -> None:
    """Somebody else opens an interrupt during the turn."""
    insert = """
        insert into interrupts (id, tenant_id, conversation_id, turn, kind, payload, created_at)
        select 'another', tenant_id, id, 0, 'handoff', '{}', now() from conversations
    """

    async def run(system: Database, _: UUID) -> None:
        async with system.statement() as tx:
            await tx.run(insert, {})

    at(platform, Milestone.TURN_RUN, run)
    assert await ask(platform, "oi") == ["eco: oi"]
    assert (await pending_interrupt(platform))["id"] == "another"


async def test_a_conversation_that_was_taken_over_expires(platform: Platform) -> None:
    """Its idle timer is for the assistant. The time after which everything ends is for operators, too."""
    await platform.republish("idle: 23h", "idle: 23h\n  expire: 72h")
    await ask(platform, "oi")
    found = await conversation_id(platform)
    await take_over_conversation(platform.system, Assistants(platform.system), found, "ana", platform.clock)
    assert (await platform.row("select wake_for from conversations"))["wake_for"] == "expire"
    platform.clock.advance(71 * 3600)
    await fire_timers(platform)
    assert (await platform.row("select status from conversations"))["status"] == "human"
    platform.clock.advance(2 * 3600)
    await fire_timers(platform)
    await drain(platform)
    assert (await platform.row("select status from conversations"))["status"] == "closed"


async def test_an_unknown_conversation_is_not_taken_over(platform: Platform) -> None:
    with pytest.raises(ConflictError, match="is not open"):
        await take_over_conversation(platform.system, Assistants(platform.system), UUID(int=7), "ana", platform.clock)


async def test_a_close_deletes_the_state(platform: Platform) -> None:
    await ask(platform, "oi")
    await commands.close(platform.system, await conversation_id(platform), platform.clock)
    for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes"):
        assert await platform.rows(f"select 1 from {table}") == []


async def test_what_cannot_be_done_is_said(platform: Platform) -> None:
    await ask(platform, "oi")
    found = await conversation_id(platform)
    with pytest.raises(ConflictError, match="take it over first"):
        await commands.reply(platform.system, found, "oi", platform.clock)
    await commands.close(platform.system, found, platform.clock)
    with pytest.raises(ConflictError, match="is not open"):
        await commands.close(platform.system, found, platform.clock)
    with pytest.raises(ConflictError, match="is not open"):
        await commands.take_over(platform.system, found, "ana", platform.clock)

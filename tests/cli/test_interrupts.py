"""`recado interrupts`: an operator at the shell, while the system runs."""

import asyncio
from datetime import timedelta

from app.channels.base import FREE_FORM_FOR
from tests.app.queue_consumer import fed_by_the_queue
from tests.app.turns.drivers import drain, pending_interrupt, replies_to
from tests.cli.shell import Done, recado
from tests.platform import TENANT, Platform

HANDOFF = "Vou chamar uma pessoa."
NOTHING = "nothing waits for an operator\n"


async def interrupts(platform: Platform, *arguments: str, redis_url: str | None = None) -> Done:
    """Runs the command beside the platform, whose loop goes on."""
    urls = {**platform.urls.processes, "REDIS_URL": redis_url or platform.settings.redis_url}
    return await asyncio.to_thread(lambda: recado("interrupts", *arguments, **urls))


async def test_a_decision_reaches_the_contact_by_the_queue(platform: Platform) -> None:
    async with fed_by_the_queue(platform):
        await platform.say("socorro")
        assert await platform.replies(1) == [HANDOFF]
        waiting = await pending_interrupt(platform)
        decided = await interrupts(platform, "resolve", waiting["id"], "--reply", " Pode vir às 15h. ")
        assert (decided.code, decided.err) == (0, "")
        assert decided.out == f"decided: return (conversation {waiting['conversation_id']})\n"
        assert await platform.replies(2) == [HANDOFF, "Pode vir às 15h."]
        await platform.say("obrigada")
        assert await platform.replies(3) == [HANDOFF, "Pode vir às 15h.", "eco: obrigada"]
    assert (await interrupts(platform, "list")).out == NOTHING


async def test_an_interrupt_is_listed_and_resolved_once(platform: Platform) -> None:
    assert (await interrupts(platform, "list")).out == NOTHING
    await replies_to(platform, "socorro")
    waiting = await pending_interrupt(platform)
    wrote = await platform.row("select last_inbound_at from contacts")
    listed = await interrupts(platform, "list", "--tenant", TENANT)
    assert (listed.code, listed.err) == (0, "")
    assert listed.out == (
        f"{waiting['id']}  handoff  waits since {waiting['created_at']:%Y-%m-%d %H:%M}  "
        f"{TENANT}  'Ana Pérez'  'pediu socorro'\n    conversation {waiting['conversation_id']}, "
        f"which takes text until {wrote['last_inbound_at'] + FREE_FORM_FOR:%Y-%m-%d %H:%M}\n"
    )
    # From here on nobody takes the decision, until the test has looked at it.
    assert platform.engine is not None
    await platform.engine.close()
    closed = await interrupts(platform, "resolve", waiting["id"], "--close", "--reply", " ")
    assert (closed.code, closed.out.split()[:2]) == (0, ["decided:", "close"])
    assert "  decided since " in (await interrupts(platform, "list")).out
    again = await interrupts(platform, "resolve", waiting["id"])
    assert (again.code, again.out) == (1, "")
    assert f"error: interrupt {waiting['id']} is not pending" in again.err
    async with platform.worker() as platform.engine:
        await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Até logo!"]
    late = await interrupts(platform, "resolve", waiting["id"])
    assert (late.code, late.err.startswith(f"error: no interrupt {waiting['id']} is pending")) == (1, True)


async def test_due_and_overdue_interrupts_are_shown(platform: Platform) -> None:
    await platform.republish("  timeout: 2h\n", "  timeout: 2h\n  sla: 5m\n")
    await replies_to(platform, "socorro")
    waiting = await pending_interrupt(platform)
    assert timedelta(minutes=4) < waiting["due_at"] - waiting["created_at"] <= timedelta(minutes=5)
    listed = (await interrupts(platform, "list")).out.splitlines(keepends=True)[0]
    assert listed.endswith(f"  due by {waiting['due_at']:%Y-%m-%d %H:%M}\n")
    await platform.rows("update interrupts set due_at = due_at - interval '10 minutes'")
    listed = (await interrupts(platform, "list")).out.splitlines(keepends=True)[0]
    assert listed.endswith(f"  OVERDUE since {waiting['due_at'] - timedelta(minutes=10):%Y-%m-%d %H:%M}\n")


async def test_a_decision_is_kept_when_redis_is_away(platform: Platform) -> None:
    await replies_to(platform, "socorro")
    waiting = await pending_interrupt(platform)
    decided = await interrupts(
        platform, "resolve", waiting["id"], "--reply", "Já vou.", redis_url="redis://127.0.0.1:1"
    )
    assert decided.code == 0
    await drain(platform)
    assert await platform.delivered() == [HANDOFF, "Já vou."]


async def test_what_does_not_exist_is_said(platform: Platform) -> None:
    unknown = await interrupts(platform, "resolve", "no-such-id")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("error: no interrupt no-such-id is pending")
    nobody = await interrupts(platform, "list", "--tenant", "ninguem")
    assert (nobody.code, nobody.out) == (1, "")
    assert nobody.err.startswith("error: there is no tenant 'ninguem'")

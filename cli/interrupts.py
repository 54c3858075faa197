"""`recado interrupts`."""

import asyncio
import json
from datetime import datetime, timedelta
from typing import Any

import click

from app import broker, db
from app.assistants.service import Assistants
from app.broker import Nudger
from app.channels.base import FREE_FORM_FOR, free_form_allowed
from app.config import Settings
from app.conversations import service as conversations
from app.conversations.queries import PendingInterrupt
from app.database_clock import DatabaseClock
from app.errors import RecadoError
from app.inbox.decisions import OperatorDecision, decide
from app.inbox.service import Inbox
from cli import environment


@click.group()
def command() -> None:
    """List and resolve what waits for an operator."""


@command.command("list")
@click.option("--tenant", help="Only this tenant's, by slug.")
def list_(tenant: str | None) -> None:
    """List the interrupts that wait, oldest first."""
    settings = environment.settings()
    asyncio.run(_list(settings, tenant))


async def _list(settings: Settings, tenant: str | None) -> None:
    async with environment.system_database(settings) as system:
        waiting = await conversations.pending_interrupts(system, tenant)
        now = (await DatabaseClock.of(system))()
    if not waiting:
        click.echo("nothing waits for an operator")
    for interrupt in waiting:
        state = "decided" if interrupt.decided else "waits"
        reason = interrupt.payload.get("reason", "")
        click.echo(
            f"{interrupt.id}  {interrupt.kind}  {state} since {interrupt.created_at:%Y-%m-%d %H:%M}  "
            f"{interrupt.tenant}  {interrupt.contact!r}  {reason!r}{_due(interrupt, now)}"
        )
        click.echo(f"    conversation {interrupt.conversation_id}{_window(interrupt, now)}")
        for call in interrupt.payload.get("calls", ()):
            click.echo(f"    {call['id']}  {call['tool']} {json.dumps(call['arguments'], ensure_ascii=False)}")


def _window(interrupt: PendingInterrupt, now: datetime) -> str:
    """Return until when WhatsApp takes free text for the contact."""
    wrote = interrupt.contact_wrote_at
    if wrote is None or not free_form_allowed(wrote, now):
        return ", which takes NO TEXT NOW: the contact has not written for 24 hours"
    return f", which takes text until {wrote + FREE_FORM_FOR:%Y-%m-%d %H:%M}"


def _due(interrupt: PendingInterrupt, now: datetime) -> str:
    if interrupt.due_at is None or interrupt.decided:
        return ""
    late = now - interrupt.due_at
    return f"  {'OVERDUE since' if late > timedelta() else 'due by'} {interrupt.due_at:%Y-%m-%d %H:%M}"


@command.command()
@click.argument("interrupt_id")
@click.option("--return", "action", flag_value="return", help="A handoff: give the conversation back (the default).")
@click.option("--close", "action", flag_value="close", help="A handoff: say goodbye and close the conversation.")
@click.option("--approve", "action", flag_value="approve", help="An approval: let the calls be made.")
@click.option("--reject", "action", flag_value="reject", help="An approval: refuse the calls.")
@click.option("--reply", help="A handoff: say this to the contact first.")
@click.option("--arguments", help="An approval: other arguments, as JSON: {call id: {argument: value}}.")
@click.option("--reason", help="An approval: why it is refused; the assistant is told.")
def resolve(
    interrupt_id: str, action: str | None, reply: str | None, arguments: str | None, reason: str | None
) -> None:
    """Decide about an interrupt. The decision enters the inbox like everything else."""
    settings = environment.settings("DATABASE_URL", "REDIS_URL")
    decision = OperatorDecision(
        action or "return", reply=_text(reply), arguments=_arguments(arguments), reason=_text(reason)
    )
    conversation_id = asyncio.run(_resolve(settings, interrupt_id, decision))
    click.echo(f"decided: {decision.action} (conversation {conversation_id})")


def _text(value: str | None) -> str | None:
    return value.strip() or None if value else None


def _arguments(text: str | None) -> dict[str, dict[str, Any]] | None:
    if text is None:
        return None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RecadoError(f"--arguments is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(value, dict) for value in found.values()):
        raise RecadoError('--arguments must look like {"call_1": {"order": "123"}}')
    return found


async def _resolve(settings: Settings, interrupt_id: str, decision: OperatorDecision) -> str:
    nudger = Nudger(broker.make_broker(settings.redis_url))
    async with (
        db.app_database(settings, size=1) as tenants,
        environment.system_database(settings) as system,
    ):
        inbox = Inbox(tenants, nudger, await DatabaseClock.of(system))
        nudger.start()
        try:
            conversation_id = await decide(system, Assistants(tenants), inbox, interrupt_id, decision)
        finally:
            nudger.close()
        return str(conversation_id)

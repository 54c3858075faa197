"""`recado interrupts`."""

import asyncio

import click

from app import broker
from app.broker import Nudger
from app.clock import utc_now
from app.commands import environment
from app.config import Settings
from app.conversations import service as conversations
from app.db import Database, Role
from app.inbox.service import Inbox


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
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        waiting = await conversations.pending_interrupts(system, tenant)
    if not waiting:
        click.echo("nothing waits for an operator")
    for interrupt in waiting:
        state = "decided" if interrupt.decided else "waits"
        reason = interrupt.payload.get("reason", "")
        click.echo(
            f"{interrupt.id}  {interrupt.kind}  {state} since {interrupt.created_at:%Y-%m-%d %H:%M}  "
            f"{interrupt.tenant}  {interrupt.contact!r}  {reason!r}"
        )


@command.command()
@click.argument("interrupt_id")
@click.option("--return", "action", flag_value="return", default=True, help="Give the conversation back (the default).")
@click.option("--close", "action", flag_value="close", help="Say goodbye and close the conversation.")
@click.option("--reply", help="Say this to the contact first.")
def resolve(interrupt_id: str, action: str, reply: str | None) -> None:
    """Decide about an interrupt. The decision enters the inbox like everything else."""
    settings = environment.settings("REDIS_URL")
    conversation_id = asyncio.run(_resolve(settings, interrupt_id, action, reply))
    click.echo(f"decided: {action} (conversation {conversation_id})")


async def _resolve(settings: Settings, interrupt_id: str, action: str, reply: str | None) -> str:
    nudger = Nudger(broker.make_broker(settings.redis_url))
    async with (
        Database(settings.database_url, size=1) as tenants,
        Database(settings.database_url, role=Role.SYSTEM, size=1) as system,
    ):
        interrupt = await conversations.pending_interrupt(system, interrupt_id)
        nudger.start()
        inbox = Inbox(tenants, system, nudger, utc_now)
        decision = {"action": action, "reply": reply.strip() if reply and reply.strip() else None}
        conversation_id = await inbox.decide(interrupt.tenant_id, interrupt_id, decision)
        nudger.close()
        return str(conversation_id)

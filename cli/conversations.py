"""`recado conversations`."""

import asyncio
from uuid import UUID

import click

from app.assistants.service import Assistants
from app.conversations import commands
from app.conversations import service as conversations
from app.conversations.queries import Undelivered
from app.database_clock import DatabaseClock
from app.inbox.take_over import take_over as take_over_conversation
from app.outbox.delivery_errors import reason_in_words
from cli import environment

SHOWN = 80
"""The characters of a message that a list shows."""

CONVERSATION = click.argument("conversation", type=click.UUID)


@click.group()
def command() -> None:
    """Take conversations over from the assistant, reply, close them, and see what was not delivered."""


@command.command("take-over")
@CONVERSATION
@click.option("--operator", required=True, help="Who takes it over; shown by `recado interrupts list`.")
def take_over(conversation: UUID, operator: str) -> None:
    """Silence the assistant at once, also in a turn that is running. `recado interrupts resolve` gives it back."""
    settings = environment.settings()

    async def run() -> None:
        async with environment.system_database(settings) as system:
            clock = await DatabaseClock.of(system)
            await take_over_conversation(system, Assistants(system), conversation, operator, clock)

    asyncio.run(run())
    click.echo(f"taken over: {conversation}")


@command.command()
@CONVERSATION
@click.argument("text")
def reply(conversation: UUID, text: str) -> None:
    """Send a text to the contact of a conversation that was taken over."""
    settings = environment.settings()

    async def run() -> None:
        async with environment.system_database(settings) as system:
            await commands.reply(system, conversation, text, await DatabaseClock.of(system))

    asyncio.run(run())
    click.echo(f"queued: {conversation}")


@command.command()
@CONVERSATION
def close(conversation: UUID) -> None:
    """Close a conversation without a message, also during a turn. The contact's next message opens a new one."""
    settings = environment.settings()

    async def run() -> None:
        async with environment.system_database(settings) as system:
            await commands.close(system, conversation, await DatabaseClock.of(system))

    asyncio.run(run())
    click.echo(f"closed: {conversation}")


@command.command()
@click.option("--tenant", required=True, help="The tenant's slug.")
def undelivered(tenant: str) -> None:
    """List messages of the last 7 days that contacts did not get, and why, newest first. Times are in UTC."""
    settings = environment.settings()

    async def run() -> list[Undelivered]:
        async with environment.system_database(settings) as system:
            return await conversations.undelivered(system, tenant, (await DatabaseClock.of(system))())

    found = asyncio.run(run())
    if not found:
        click.echo("everything was delivered")
    for message in found:
        why = "nobody knows whether it arrived" if message.parked else reason_in_words(message.error_code)
        click.echo(f"{message.created_at:%Y-%m-%d %H:%M}  {message.contact!r}  {message.author}: {why}")
        click.echo(f"    conversation {message.conversation_id}  {_shortened(message.body)!r}")


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"

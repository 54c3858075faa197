"""`recado studio`."""

import asyncio
from typing import Any
from uuid import UUID

import click

from app.config import Settings
from cli import environment

PORT = click.option("--port", default=2024, show_default=True, help="The port of Studio's server on 127.0.0.1.")
CONVERSATION = click.argument("conversation", type=click.UUID)


@click.group("studio", invoke_without_command=True)
@PORT
@click.pass_context
def command(context: click.Context, port: int) -> None:
    """Run LangGraph Studio's server on the tenants' conversations. DATABASE_URL names their database.

    Its list of threads shows each tenant's latest conversations. A conversation cannot be changed there: fork it first.
    Tools that write are disabled, and nothing is sent to contacts.
    """
    if context.invoked_subcommand is None:
        server = environment.devkit_module("devkit.studio.server")
        server.serve(environment.settings(), port, click.echo)


@command.command("open")
@CONVERSATION
@PORT
def open_(conversation: UUID, port: int) -> None:
    """Show any conversation in the list of the running Studio."""
    found, threads, page = _found(conversation, port)
    threads.add([found])
    click.echo(f"{found.slug}: {found.contact}, {found.status}")
    click.echo(f"thread {found.id}")
    click.echo(page)


@command.command()
@CONVERSATION
@PORT
def fork(conversation: UUID, port: int) -> None:
    """Copy a conversation to a thread that Studio may run and change."""
    found, threads, page = _found(conversation, port)
    click.echo(f"thread {threads.fork(found)}")
    click.echo(page)


@command.command()
@CONVERSATION
@PORT
def replay(conversation: UUID, port: int) -> None:
    """Run the last turn of a conversation again, on a thread of its own, with the tenant's current version."""
    found, threads, page = _found(conversation, port)
    thread, replies = threads.replay(found)
    for reply in replies:
        click.echo(f"assistant: {reply}")
    click.echo(f"thread {thread}")
    click.echo(page)


def _found(conversation: UUID, port: int) -> tuple[Any, Any, str]:
    """Return the conversation, the threads of the running server, and Studio's address."""
    threads = environment.devkit_module("devkit.studio.threads")
    server = environment.devkit_module("devkit.studio.server")
    settings = environment.settings()
    return (
        asyncio.run(_conversation(threads, settings, conversation)),
        threads.Threads(server.url(port)),
        server.page(port),
    )


async def _conversation(threads: Any, settings: Settings, conversation: UUID) -> Any:
    async with environment.system_database(settings) as system:
        return await threads.conversation(system, conversation)

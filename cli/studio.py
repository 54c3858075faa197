"""`recado studio`."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from app.config import Settings
from cli import environment

PORT = click.option("--port", default=2024, show_default=True, help="The port of Studio's server on 127.0.0.1.")
CONVERSATION = click.argument("conversation", type=click.UUID)


@click.group("studio", invoke_without_command=True)
@PORT
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="Where Studio keeps its threads.")
@click.pass_context
def command(context: click.Context, port: int, data: Path | None) -> None:
    """Run LangGraph Studio's server on the tenants' conversations.

    DATABASE_URL and SYSTEM_DATABASE_URL name their database.

    Its list of threads shows each tenant's latest conversations. A conversation cannot be changed there: fork it first.
    Tools that write are disabled, and nothing is sent to contacts.
    """
    if context.invoked_subcommand is None:
        server = environment.devkit_module("devkit.studio.server")
        folder = (data or server.default_folder()).resolve()
        server.serve(environment.settings("DATABASE_URL"), folder, port, click.echo)


@command.command("open")
@CONVERSATION
@PORT
def open_(conversation: UUID, port: int) -> None:
    """Add a conversation to the list of the running Studio."""
    with _opened(conversation, port) as (found, threads):
        threads.show([found])
    click.echo(f"{found.slug}: {found.contact}, {found.status}")
    _say_where(found.id, port)


@command.command()
@CONVERSATION
@PORT
def fork(conversation: UUID, port: int) -> None:
    """Copy a conversation to a thread that Studio may run and change."""
    with _opened(conversation, port) as (found, threads):
        thread = threads.fork(found)
    _say_where(thread, port)


@command.command()
@CONVERSATION
@PORT
def replay(conversation: UUID, port: int) -> None:
    """Run a conversation's last turn again, on another thread, with the tenant's current version."""
    with _opened(conversation, port) as (found, threads):
        replayed = threads.replay(found)
    for reply in replayed.replies:
        click.echo(f"assistant: {reply}")
    for kind in replayed.waits_for:
        click.echo(f"waits for an operator: {kind}")
    _say_where(replayed.thread_id, port)


def _say_where(thread: UUID | str, port: int) -> None:
    click.echo(f"thread {thread}")
    click.echo(environment.devkit_module("devkit.studio.server").page(port, thread))


@contextmanager
def _opened(conversation: UUID, port: int) -> Iterator[tuple[Any, Any]]:
    """Yield the conversation, and the threads of the running server."""
    threads = environment.devkit_module("devkit.studio.threads")
    server = environment.devkit_module("devkit.studio.server")
    found = asyncio.run(_conversation(threads, environment.settings("DATABASE_URL"), conversation))
    with threads.Threads(server.url(port)) as listed:
        yield found, listed


async def _conversation(threads: Any, settings: Settings, conversation: UUID) -> Any:
    async with environment.system_database(settings) as system:
        return await threads.conversation(system, conversation)

"""`recado contacts`."""

import asyncio

import click

from app.commands import environment
from app.config import Settings
from app.conversations import service as conversations
from app.db import Database, Role


@click.group()
def command() -> None:
    """Tag contacts, for the rules that ask for a tag."""


@command.command()
@click.option("--tenant", required=True, help="The tenant's slug.")
@click.option("--address", required=True, help="The contact's address, such as whatsapp:+5511990000001.")
@click.option("--remove", multiple=True, help="A tag to take away; repeatable.")
@click.argument("tags", nargs=-1)
def tag(tenant: str, address: str, remove: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Give a contact TAGS; without any, show those it has."""
    found = asyncio.run(_tag(environment.settings(), tenant, address, list(tags), list(remove)))
    click.echo(f"{address}: {', '.join(found) or 'no tags'}")


async def _tag(settings: Settings, tenant: str, address: str, add: list[str], remove: list[str]) -> list[str]:
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        return await conversations.tag_contact(system, tenant, address, add, remove)

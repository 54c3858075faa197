"""`recado contacts`."""

import asyncio

import click

from app.config import Settings
from app.conversations import service as conversations
from app.retention import service as retention
from app.retention.queries import Erased
from cli import environment

OF_TENANT = click.option("--tenant", required=True, help="The tenant's slug.")
AT_ADDRESS = click.option(
    "--address", required=True, help="The contact's number, in any form, such as +55 11 99000-0001."
)


@click.group()
def command() -> None:
    """Tag contacts, see what agents keep of them, and erase them."""


@command.command()
@OF_TENANT
@AT_ADDRESS
@click.option("--remove", multiple=True, help="A tag to take away; repeatable.")
@click.argument("tags", nargs=-1)
def tag(tenant: str, address: str, remove: tuple[str, ...], tags: tuple[str, ...]) -> None:
    """Give a contact TAGS; without any, show those it has."""
    found = asyncio.run(_tag(environment.settings(), tenant, address, list(tags), list(remove)))
    click.echo(f"{address}: {', '.join(found) or 'no tags'}")


@command.command()
@OF_TENANT
@AT_ADDRESS
@click.option("--forget", is_flag=True, help="Forget everything.")
def facts(tenant: str, address: str, forget: bool) -> None:
    """Show what agents keep of a contact."""
    found = asyncio.run(_facts(environment.settings(), tenant, address, forget))
    click.echo(f"{address}:" if found else f"{address}: nothing is known")
    for fact in found:
        click.echo(f"  {fact}")


async def _facts(settings: Settings, tenant: str, address: str, forget: bool) -> list[str]:
    async with environment.system_database(settings) as system:
        return await conversations.facts_of(system, tenant, address, forget=forget)


async def _tag(settings: Settings, tenant: str, address: str, add: list[str], remove: list[str]) -> list[str]:
    async with environment.system_database(settings) as system:
        return await conversations.tag_contact(system, tenant, address, add, remove)


@command.command()
@OF_TENANT
@AT_ADDRESS
@click.confirmation_option(prompt="Erase the contact with every message, for ever?")
def erase(tenant: str, address: str) -> None:
    """Erase a contact with all conversations, appointments and facts.

    The tenant's usage records stay, without the contact.
    """
    erased = asyncio.run(_erase(environment.settings(), tenant, address))
    click.echo(f"{address}: erased, with {erased.conversations} conversations")


async def _erase(settings: Settings, tenant: str, address: str) -> Erased:
    async with environment.system_database(settings) as system:
        return await retention.erase_contact(system, tenant, address)

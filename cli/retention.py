"""`recado retention`."""

import asyncio
from collections.abc import Mapping

import click

from app.config import Settings
from app.retention import service as retention
from cli import environment

OF_TENANT = click.option("--tenant", required=True, help="The tenant's slug.")


@click.group()
def command() -> None:
    """Show and set for how many days a tenant keeps what it does not need any more."""


@command.command()
@OF_TENANT
def show(tenant: str) -> None:
    """Show the days of each kind."""
    for name, days in asyncio.run(_show(environment.settings(), tenant)).items():
        click.echo(f"{name:14} {days:5} days  {retention.KINDS[name].about}")


@command.command("set")
@OF_TENANT
@click.argument("kind", type=click.Choice(list(retention.KINDS)))
@click.argument("days", type=click.IntRange(1, 36_500))
def set_(tenant: str, kind: str, days: int) -> None:
    """Keep KIND for DAYS. The scheduler erases what is older."""
    asyncio.run(_set(environment.settings(), tenant, kind, days))
    click.echo(f"{tenant}: {kind} are kept for {days} days")


async def _show(settings: Settings, tenant: str) -> Mapping[str, int]:
    async with environment.system_database(settings) as system:
        return await retention.retention(system, tenant)


async def _set(settings: Settings, tenant: str, kind: str, days: int) -> None:
    async with environment.system_database(settings) as system:
        await retention.set_retention(system, tenant, kind, days)

"""`recado secrets`."""

import asyncio
import re

import click

from app.config import Settings
from app.crypto import SecretBox
from app.database_clock import DatabaseClock
from app.errors import RecadoError
from app.identity import secrets
from cli import environment

TENANT = click.option("--tenant", required=True, help="The tenant's slug.")


@click.group()
def command() -> None:
    """Set, list and remove the secrets that tenants' tools name as ${secret:NAME}."""


@command.command("set")
@TENANT
@click.argument("name")
@click.option(
    "--value",
    envvar="RECADO_SECRET_VALUE",
    prompt=True,
    hide_input=True,
    help="Better asked for, or from RECADO_SECRET_VALUE, than typed here.",
)
def set_(tenant: str, name: str, value: str) -> None:
    """Set a secret, or replace it."""
    settings = environment.settings("RECADO_SECRET_KEY")
    if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,59}", name):
        raise RecadoError(f"{name!r} is no name of a secret: those are capitals, digits and _, such as SHOP_TOKEN")
    asyncio.run(_set(settings, tenant, name, value))
    click.echo(f"{tenant}: {name} is set")


async def _set(settings: Settings, tenant: str, name: str, value: str) -> None:
    async with environment.system_database(settings) as system:
        await secrets.keep(system, SecretBox(settings.secret_key), tenant, name, value, await DatabaseClock.of(system))


@command.command("list")
@TENANT
def list_(tenant: str) -> None:
    """List a tenant's secrets by name. Values are never shown."""
    rows = asyncio.run(_list(environment.settings(), tenant))
    for row in rows:
        click.echo(f"{row.name:32} set {row.updated_at:%Y-%m-%d %H:%M}")
    if not rows:
        click.echo(f"{tenant} has no secrets")


async def _list(settings: Settings, tenant: str) -> list[secrets.SecretRow]:
    async with environment.system_database(settings) as system:
        return await secrets.known(system, tenant)


@command.command()
@TENANT
@click.argument("name")
def remove(tenant: str, name: str) -> None:
    """Remove a secret."""
    asyncio.run(_remove(environment.settings(), tenant, name))
    click.echo(f"{tenant}: {name} is removed")


async def _remove(settings: Settings, tenant: str, name: str) -> None:
    async with environment.system_database(settings) as system:
        await secrets.forget(system, tenant, name)

"""`recado channels`."""

import asyncio
import re
from typing import Any

import click

from app.channels.base import Credentials
from app.config import Settings
from app.crypto import SecretBox
from app.errors import RecadoError
from app.identity import queries
from app.identity import service as identity
from cli import environment


@click.group()
def command() -> None:
    """Add and list the tenants' WhatsApp numbers."""


@command.command()
@click.option("--tenant", required=True, help="The tenant's slug.")
@click.option("--account-sid", required=True, help="The Twilio account that owns the number.")
@click.option(
    "--auth-token",
    required=True,
    envvar="TWILIO_AUTH_TOKEN",
    prompt=True,
    hide_input=True,
    help="Its auth token; better asked for, or from TWILIO_AUTH_TOKEN, than typed here.",
)
@click.option("--address", required=True, help="The number, such as whatsapp:+551140000000.")
def add(tenant: str, account_sid: str, auth_token: str, address: str) -> None:
    """Add a number to a tenant, or give it a new token."""
    if not re.fullmatch(r"AC[0-9a-fA-F]{32}", account_sid):
        raise RecadoError(f"{account_sid!r} is no account SID: those are AC and 32 hexadecimal digits")
    if not re.fullmatch(r"whatsapp:\+[1-9][0-9]{6,14}", address):
        raise RecadoError(f"{address!r} is no WhatsApp number: those look like whatsapp:+551140000000")
    settings = environment.settings("RECADO_SECRET_KEY")
    asyncio.run(_add(settings, tenant, Credentials(account_sid, auth_token), address))
    click.echo(f"{tenant}: {address} of account {account_sid}")
    click.echo(
        f"in Twilio, let the number's webhook call {settings.public_url or 'RECADO_PUBLIC_URL'}"
        "/api/v1/twilio/webhook#rc=3&rp=ct,rt,5xx"
    )


async def _add(settings: Settings, tenant: str, credentials: Credentials, address: str) -> None:
    async with environment.system_database(settings) as system:
        await identity.add_channel(system, SecretBox(settings.secret_key), tenant, credentials, address)


@command.command("list")
def list_() -> None:
    """List numbers, and which are suspended because the provider refuses their token. Tokens are never shown."""
    settings = environment.settings()
    for row in asyncio.run(_list(settings)):
        click.echo(f"{row['slug']:24} {row['address']:28} {row['account_sid']}{_suspension(row)}")


def _suspension(row: dict[str, Any]) -> str:
    if row["suspended_at"] is None:
        return ""
    return f"  suspended since {row['suspended_at']:%Y-%m-%d %H:%M} UTC: {row['suspended_for']}"


async def _list(settings: Settings) -> list[dict[str, object]]:
    async with environment.system_database(settings) as system, system.statement() as tx:
        return await queries.list_channels(tx)

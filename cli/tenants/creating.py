"""Command that registers a tenant before it publishes."""

import asyncio

import click

from app.assistants.service import require_slug
from app.config import Settings
from app.identity import service as identity
from cli import environment


@click.command()
@click.argument("slug")
@click.option("--name", help="What it is called until it publishes; by default its slug.")
def create(slug: str, name: str | None) -> None:
    """Register a tenant, so that its secrets can be set before its assistant is published."""
    require_slug(slug)
    created = asyncio.run(_create(environment.settings(), slug, name or slug))
    click.echo(f"{slug}: {'created' if created else 'is there already'}")
    click.echo(f"`recado secrets set --tenant {slug} NAME` sets a secret, `recado tenants publish` publishes", err=True)


async def _create(settings: Settings, slug: str, name: str) -> bool:
    async with environment.system_database(settings) as system:
        return await identity.create_tenant(system, slug, name)

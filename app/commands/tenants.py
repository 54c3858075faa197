"""`recado tenants`."""

import asyncio
import re
import sys
from pathlib import Path

import click

from app.assistants import service as assistants
from app.clock import utc_now
from app.commands import environment
from app.config import Settings
from app.db import Database, Role
from tenants.loader import InvalidAssistant, load_folder

SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Check, publish and list the tenants' assistants."""


@command.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
def check(folders: tuple[Path, ...]) -> None:
    """Say what is wrong with assistants, by file, line and column. Needs no database."""
    broken = False
    for folder in folders:
        try:
            loaded = load_folder(folder)
        except InvalidAssistant as error:
            broken = True
            _print_problems(folder, error)
        else:
            agents = ", ".join(loaded.assistant.agents)
            click.echo(f"{folder}: {loaded.assistant.name} is valid (agents: {agents})")
    sys.exit(1 if broken else 0)


@command.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
def publish(folders: tuple[Path, ...]) -> None:
    """Publish assistants. A tenant's slug is its folder's name; open conversations keep the version they have."""
    settings = environment.settings()
    sys.exit(asyncio.run(_publish(settings, folders)))


async def _publish(settings: Settings, folders: tuple[Path, ...]) -> int:
    failed = 0
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        for folder in folders:
            try:
                loaded = load_folder(folder)
            except InvalidAssistant as error:
                failed = 1
                _print_problems(folder, error)
                click.echo(f"{folder}: not published", err=True)
            else:
                slug = folder.resolve().name
                if not SLUG.fullmatch(slug):
                    failed = 1
                    click.echo(f"{folder}: not published: {slug!r} is no slug (a-z, 0-9, hyphens)", err=True)
                    continue
                await assistants.publish(system, slug, loaded, utc_now)
                click.echo(f"{slug}: published {loaded.assistant.name}, version {loaded.content_hash[:12]}")
    return failed


@command.command("list")
def list_() -> None:
    """List tenants, their current version and their open conversations."""
    settings = environment.settings()
    asyncio.run(_list(settings))


async def _list(settings: Settings) -> None:
    async with Database(settings.database_url, role=Role.SYSTEM, size=1) as system:
        rows = await assistants.published(system)
    if not rows:
        click.echo("no tenants yet: publish one with `recado tenants publish FOLDER`")
    for row in rows:
        when = f"{row.published_at:%Y-%m-%d %H:%M}" if row.published_at else "never"
        version = (row.content_hash or "nothing published")[:12]
        click.echo(f"{row.slug:24} {version:14} published {when}   {row.live} open conversations   {row.name}")


def _print_problems(folder: Path, error: InvalidAssistant) -> None:
    for problem in error.problems:
        click.echo(f"{folder}/{problem}", err=True)

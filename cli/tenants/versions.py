"""Commands on published versions: list, compare, roll back."""

import asyncio
from datetime import UTC, datetime

import click

from app.assistants import plan as planning
from app.assistants import queries
from app.assistants import service as assistants
from app.assistants.service import SHORT
from app.config import Settings
from app.database_clock import DatabaseClock
from cli import environment
from cli.tenants.printing import count


@click.command("list")
def list_() -> None:
    """List tenants, their current version and their open conversations. Times are in UTC."""
    settings = environment.settings()
    asyncio.run(_list(settings))


async def _list(settings: Settings) -> None:
    async with environment.system_database(settings) as system:
        rows = await assistants.published(system)
    if not rows:
        click.echo("no tenants yet: publish one with `recado tenants publish FOLDER`")
    for row in rows:
        when = _when(row.published_at) if row.published_at else "never"
        version = row.content_hash[:SHORT] if row.content_hash else "nothing yet"
        click.echo(
            f"{row.slug:24} {version:14} published {when}   {count(row.live, 'open conversation'):24} {row.name}"
        )


@click.command()
@click.argument("slug")
def versions(slug: str) -> None:
    """List a tenant's versions, the one that was made current last first. Times are in UTC."""
    settings = environment.settings()
    rows = asyncio.run(_versions(settings, slug))
    if not rows:
        click.echo(f"{slug} has published nothing yet: `recado tenants publish FOLDER` does")
    for row in rows:
        mark = "current" if row.current else ""
        again = f", again {_when(row.current_at)}" if row.current_at > row.published_at else ""
        click.echo(
            f"{row.content_hash[:SHORT]}  {mark:7}  {count(row.live, 'open conversation'):22} "
            f"published {_when(row.published_at)}{again}"
        )


async def _versions(settings: Settings, slug: str) -> list[queries.Version]:
    async with environment.system_database(settings) as system:
        return await assistants.versions(system, slug)


@click.command()
@click.argument("slug")
@click.argument("old", required=False)
@click.argument("new", required=False)
@click.option("--verbose", "-v", is_flag=True, help="Show what changed in the prompts, line by line.")
def diff(slug: str, old: str | None, new: str | None, verbose: bool) -> None:
    """Say what differs between two versions of a tenant, named by how their hashes begin.

    NEW is the current version if not given, and OLD the one that was current before it.
    """
    settings = environment.settings()
    found = asyncio.run(_diff(settings, slug, old, new))
    click.echo(f"{slug}: {found.old[:SHORT]} → {found.new[:SHORT]}")
    if found.old == found.new:
        click.echo("  nothing: they are the same version")
    else:
        for change in found.changes or ("only comments, or how it is written",):
            click.echo(f"  {change}")
    if verbose and found.diff:
        click.echo(f"\n{found.diff}")


async def _diff(settings: Settings, slug: str, old: str | None, new: str | None) -> planning.Difference:
    async with environment.system_database(settings) as system:
        return await planning.difference(system, slug, old, new)


@click.command()
@click.argument("slug")
@click.argument("version", required=False)
def rollback(slug: str, version: str | None) -> None:
    """Make an older VERSION current again, named by how its hash begins; by default the one before the current.

    Open conversations keep the version they have. Rolling back twice goes back two versions.
    """
    settings = environment.settings()
    done = asyncio.run(_rollback(settings, slug, version))
    click.echo(f"{slug}: version {done.new[:SHORT]} is current again, in place of {done.old[:SHORT]}")
    click.echo(f"`recado tenants rollback {slug} {done.old[:SHORT]}` takes that back", err=True)


async def _rollback(settings: Settings, slug: str, version: str | None) -> assistants.RolledBack:
    async with environment.system_database(settings) as system:
        return await assistants.rollback(system, slug, await DatabaseClock.of(system), version)


def _when(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"

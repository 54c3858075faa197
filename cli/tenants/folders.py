"""Commands on a tenant's folder: check, plan, publish."""

import asyncio
import sys
from pathlib import Path

import click

from app.assistants import plan as planning
from app.assistants import service as assistants
from app.config import Settings
from app.database_clock import DatabaseClock
from app.db import Database
from app.errors import RecadoError
from cli import environment
from cli.tenants.printing import plan_lines, plan_summary
from manifest.folder import load_folder
from manifest.loader import InvalidFiles, LoadedAssistant

SCENARIOS = "scenarios"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
def check(folders: tuple[Path, ...]) -> None:
    """Say what is wrong with assistants and their scenarios, by file, line and column. Needs no database."""
    broken = False
    for folder in folders:
        loaded = _load(folder)
        if not _scenarios_are_valid(folder) or loaded is None:
            broken = True
        else:
            agents = ", ".join(loaded.assistant.agents)
            click.echo(f"{folder}: {loaded.assistant.name} is valid (agents: {agents})")
    sys.exit(1 if broken else 0)


@click.command()
@click.argument("folder", type=FOLDER)
@click.option("--verbose", "-v", is_flag=True, help="Show what changes in the prompts, line by line.")
def plan(folder: Path, verbose: bool) -> None:
    """Say what publishing a folder would change, and for whom. Changes nothing."""
    settings = environment.settings()
    loaded = _load(folder)
    if loaded is None:
        sys.exit(1)
    found = asyncio.run(_plan(settings, folder, loaded))
    for line in plan_lines(found, verbose=verbose):
        click.echo(line)
    for missing in found.missing:
        click.echo(f"error: {missing}", err=True)
    sys.exit(1 if found.missing else 0)


async def _plan(settings: Settings, folder: Path, loaded: LoadedAssistant) -> planning.PublishPlan:
    async with environment.system_database(settings) as system:
        return await planning.plan(system, _slug(folder), loaded)


@click.command()
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
def publish(folders: tuple[Path, ...]) -> None:
    """Publish assistants. A tenant's slug is its folder's name; open conversations keep the version they have."""
    settings = environment.settings()
    sys.exit(asyncio.run(_publish(settings, folders)))


async def _publish(settings: Settings, folders: tuple[Path, ...]) -> int:
    failed = 0
    async with environment.system_database(settings) as system:
        for folder in folders:
            loaded = _load(folder)
            try:
                published = loaded is not None and await _publish_one(system, _slug(folder), loaded)
            except RecadoError as error:
                click.echo(f"error: {error}", err=True)
                published = False
            if not published:
                failed = 1
                click.echo(f"{folder}: not published", err=True)
    return failed


async def _publish_one(system: Database, slug: str, loaded: LoadedAssistant) -> bool:
    summary = plan_summary(await planning.plan(system, slug, loaded))
    changed = await assistants.publish(system, slug, loaded, await DatabaseClock.of(system))
    done = "published" if changed else "unchanged:"
    click.echo(f"{slug}: {done} {loaded.assistant.name}, version {loaded.content_hash[: assistants.SHORT]}")
    # Apart from the result, which scripts read.
    for line in summary:
        click.echo(line, err=True)
    return True


def _scenarios_are_valid(folder: Path) -> bool:
    """Return whether the folder's scenarios can be read, if it has any. Print the problems."""
    if not (folder / SCENARIOS).is_dir():
        return True
    loader = environment.devkit_module("devkit.scenarios.loader")
    try:
        loader.load_folder(folder)
    except InvalidFiles as error:
        for problem in error.problems:
            click.echo(f"{folder}/{problem}", err=True)
        return False
    return True


def _slug(folder: Path) -> str:
    return folder.resolve().name


def _load(folder: Path) -> LoadedAssistant | None:
    """Load the folder's assistant. Print the problems and return None when it is invalid. Print warnings, too."""
    try:
        loaded = load_folder(folder)
    except InvalidFiles as error:
        for problem in error.problems:
            click.echo(f"{folder}/{problem}", err=True)
        return None
    for warning in loaded.warnings:
        click.echo(f"{folder}/{warning}", err=True)
    return loaded

"""`recado tenants test`."""

import os
import sys
from pathlib import Path

import click

from cli import environment
from manifest.loader import InvalidFiles

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command("test")
@click.argument("folder", type=FOLDER)
@click.option("--scenario", metavar="TEXT", help="Only the scenarios whose file's name contains this.")
@click.option("--live", is_flag=True, help="With the real model: its key must be set. Exact texts are not compared.")
def command(folder: Path, scenario: str | None, live: bool) -> None:
    """Play a tenant's scenarios on virtual time, against the whole system on this machine.

    Postgres and Valkey are started for it. With OWNER_DATABASE_URL and the URLs of the logins set, databases are made
    there, and dropped.
    """
    suite = environment.devkit_module("devkit.scenarios.suite")
    urls = environment.devkit_module("devkit.database_urls").DatabaseUrls.given(os.environ)
    try:
        passed = suite.run(folder, only=scenario, live=live, databases=urls, say=click.echo)
    except InvalidFiles as error:
        for problem in error.problems:
            click.echo(f"{folder}/{problem}", err=True)
        passed = False
    sys.exit(0 if passed else 1)

"""`recado tenants`: from a folder of YAML to the version that answers."""

import click

from cli.scenarios import command as test
from cli.tenants.creating import create
from cli.tenants.folders import check, plan, publish
from cli.tenants.versions import diff, list_, rollback, versions
from cli.tenants.writing import new, schema


@click.group()
def command() -> None:
    """Write, check, test, publish and compare the tenants' assistants."""


for subcommand in (new, create, schema, check, test, plan, publish, list_, versions, diff, rollback):
    command.add_command(subcommand)

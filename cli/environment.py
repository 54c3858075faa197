"""Read the settings of a command, and check them before they are used."""

import functools
import importlib
from collections.abc import Callable
from typing import Any

import click

from app import database_check, db, telemetry
from app.config import Settings
from app.db import Database
from app.errors import RecadoError
from app.health import Address


def settings(*required: str) -> Settings:
    """Return the settings of an administrative command. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    variables = ("SYSTEM_DATABASE_URL", *required)
    found = Settings.from_environment(required=variables)
    # A person may use a login that can do more. A process that strangers reach may not.
    database_check.require(found, variables, alone=False)
    return found


def process_settings(required: tuple[str, ...]) -> Settings:
    """Return the settings of a server process, with logging set up. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    found = Settings.from_environment(required=required)
    telemetry.setup(found.log_format)
    database_check.require(found, required)
    return found


def system_database(settings: Settings) -> Database:
    """Return a database of one connection that sees all tenants, for one command."""
    return db.system_database(settings)


def health_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a process that tells over HTTP how it is. The command gets `health_at`."""

    @click.option("--health-port", type=click.IntRange(0, 65535), help="Port of GET /healthz and /metrics.")
    @click.option("--health-host", default="127.0.0.1", show_default=True, help="Address of GET /healthz and /metrics.")
    @functools.wraps(command)
    def with_address(*, health_port: int | None, health_host: str, **options: Any) -> None:
        command(health_at=None if health_port is None else Address(health_host, health_port), **options)

    return with_address


def health_arguments(first: Address | None, position: int) -> list[str]:
    """Return the same options for the child process at a position. Each child has the next port."""
    if first is None:
        return []
    port = first.port + position if first.port else 0
    return ["--health-host", first.host, "--health-port", str(port)]


def devkit_module(name: str) -> Any:
    """Import a module of the devkit, only for the command that needs it. Raises RecadoError without its packages."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RecadoError(
            f"this command needs the devkit, and {error.name} is not installed: run `pip install 'recado[devkit]'`"
        ) from None

"""Read the settings of a command, and check them before they are used."""

import importlib
from typing import Any

from app import db, telemetry
from app.config import Settings
from app.db import Database, Role
from app.errors import RecadoError


def settings(*required: str) -> Settings:
    """Return the settings of an administrative command. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    found = Settings.from_environment(required=("DATABASE_URL", *required))
    db.require(found.database_url)
    return found


def process_settings(required: tuple[str, ...]) -> Settings:
    """Return the settings of a server process, with logging set up. Postgres answers and has our tables.

    Raises ConfigurationError.
    """
    found = Settings.from_environment(required=required)
    telemetry.setup(found.log_format)
    db.require(found.database_url)
    return found


def system_database(settings: Settings) -> Database:
    """Return a database of one connection that sees all tenants, for one command."""
    return Database(settings.database_url, role=Role.SYSTEM, size=1)


def devkit_module(name: str) -> Any:
    """Import a module of the devkit, only for the command that needs it. Raises RecadoError without its packages."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise RecadoError(
            f"this command needs the devkit, and {error.name} is not installed: run `pip install 'recado[devkit]'`"
        ) from None

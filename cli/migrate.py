"""`recado migrate`."""

import asyncio

import click
import psycopg

import migrations
from app import db
from app.config import Settings
from app.errors import ConfigurationError, RecadoError


@click.command()
def command() -> None:
    """Bring the database's tables up to date."""
    settings = Settings.from_environment(required=("DATABASE_URL",))
    found = asyncio.run(db.problem(settings.database_url, migrated=False))
    if found is not None:
        raise ConfigurationError(found)
    applied = 0
    try:
        for migration in migrations.apply(settings.database_url, notify=_say_in_use):
            applied += 1
            click.echo(f"applied {migration.name}")
    except migrations.EditedMigrationError as error:
        raise RecadoError(str(error)) from None
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        raise RecadoError(
            f"a table stayed in use for {migrations.PATIENCE:g} seconds: end the transaction that uses it "
            "(`select * from pg_stat_activity where xact_start < now() - interval '1 minute'`), and try again"
        ) from None
    except psycopg.Error as error:
        raise RecadoError(f"the database refused: {error}") from None
    click.echo("the database is up to date" if applied == 0 else f"{applied} applied, the database is up to date")


def _say_in_use(migration: migrations.Migration) -> None:
    click.echo(f"{migration.name} waits: a table is in use by another transaction", err=True)

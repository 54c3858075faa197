"""`recado migrate`."""

import asyncio

import click
import psycopg

import migrations
from app import database_check
from app.config import Settings
from app.errors import ConfigurationError, RecadoError


@click.command()
def command() -> None:
    """Bring the database's tables up to date, and make the logins of DATABASE_URL and SYSTEM_DATABASE_URL."""
    settings = Settings.from_environment(required=("OWNER_DATABASE_URL", *migrations.LOGIN_ROLES))
    if found := asyncio.run(database_check.owner_problem(settings.owner_database_url)):
        raise ConfigurationError(found)
    urls = {"DATABASE_URL": settings.database_url, "SYSTEM_DATABASE_URL": settings.system_database_url}
    applied = 0
    try:
        for migration in migrations.apply(settings.owner_database_url, notify=_say_in_use):
            applied += 1
            click.echo(f"applied {migration.name}")
        for login in migrations.make_logins(settings.owner_database_url, urls):
            click.echo(f"made the login {login}")
    except (migrations.EditedMigrationError, migrations.LoginError) as error:
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

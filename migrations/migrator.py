"""Apply the numbered SQL files of this folder."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, LiteralString

import psycopg

LOCK_KEY = 7700
"""The key of the advisory lock that lets one process migrate at a time."""

HISTORY: LiteralString = """
create table if not exists schema_migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
)
"""


HEADER = "-- migration:"
"""The beginning of a file's first line that declares how the migration is applied, and with which code it works."""
CODE_SINCE = "code since "
OPTION = re.compile(rf"{CODE_SINCE}\d{{4}}")


class EditedMigrationError(Exception):
    """An applied file has changed. Restore it, and write a new file."""


@dataclass(frozen=True)
class Migration:
    """One SQL file. Its first line may declare `code since 0012`: older code does not work with the new schema."""

    name: str
    text: str

    @property
    def oldest_code(self) -> str | None:
        """The number of the newest migration that code must have to work with this one. None: any code works."""
        since = [option.removeprefix(CODE_SINCE) for option in self._options if option.startswith(CODE_SINCE)]
        return since[0] if since else None

    @property
    def _options(self) -> list[str]:
        first, _, _ = self.text.partition("\n")
        if not first.startswith(HEADER):
            return []
        options = [option.strip() for option in first.removeprefix(HEADER).split(",")]
        if unknown := [option for option in options if not OPTION.fullmatch(option)]:
            raise ValueError(f"{self.name}: the first line declares {unknown[0]!r}, which is not known")
        return options

    @property
    def sha256(self) -> str:
        """The hash that the database stores."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def available() -> list[Migration]:
    """Return every migration of this package, in order. Raises ValueError for a first line that is not understood."""
    folder = resources.files("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(file.name, file.read_text("utf-8")) for file in files]


def apply(database_url: str, migrations: list[Migration] | None = None) -> Iterator[Migration]:
    """Apply the missing migrations, and yield each after its commit.

    Waits for another process that is migrating. Each file runs in a transaction that waits at most five seconds for
    a table lock, so that a busy table is not blocked. Raises EditedMigrationError, psycopg.Error.
    """
    with psycopg.connect(database_url, autocommit=True, target_session_attrs="read-write") as connection:
        connection.execute("select pg_advisory_lock(%s)", (LOCK_KEY,))
        connection.execute("set client_min_messages = warning")
        connection.execute(HISTORY)
        done: dict[str, str] = dict(connection.execute("select name, sha256 from schema_migrations").fetchall())
        wanted = available() if migrations is None else migrations
        _refuse_edited(wanted, done)
        for migration in wanted:
            if migration.name not in done:
                _apply_one(connection, migration)
                yield migration


def _refuse_edited(migrations: list[Migration], done: dict[str, str]) -> None:
    edited = [m.name for m in migrations if m.name in done and done[m.name] != m.sha256]
    if edited:
        raise EditedMigrationError(
            f"{', '.join(edited)} changed after it was applied to this database. "
            "Put the file back as it was and write the change as a new migration."
        )


def _apply_one(connection: psycopg.Connection[Any], migration: Migration) -> None:
    with connection.transaction():
        connection.execute("set local lock_timeout = '5s'")
        connection.execute(migration.text)
        _record(connection, migration)


def _record(connection: psycopg.Connection[Any], migration: Migration) -> None:
    connection.execute(
        "insert into schema_migrations (name, sha256) values (%s, %s)", (migration.name, migration.sha256)
    )
    if migration.oldest_code is not None:
        connection.execute(
            "update schema_migrations set oldest_code = %s where name = %s", (migration.oldest_code, migration.name)
        )

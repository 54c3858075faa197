"""Apply the numbered SQL files of this folder."""

import hashlib
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any, LiteralString

import psycopg
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

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
WITHOUT_TRANSACTION = "without transaction"
OPTION = re.compile(rf"{CODE_SINCE}\d{{4}}|{WITHOUT_TRANSACTION}")

LOCK_TIMEOUT = "250ms"
"""How long a migration waits for a lock. Every statement on the table that comes after it waits as long."""
PATIENCE = 300.0
"""Seconds that a migration is tried again while its tables are in use."""
LONGEST_PAUSE = 10.0
"""Seconds between two tries. In a pause nothing waits for the migration."""
IN_USE = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
"""The errors of a migration whose tables are in use."""

Notify = Callable[["Migration"], object]
"""A function that is told of a migration whose tables are in use, before each pause."""


class EditedMigrationError(Exception):
    """An applied file has changed. Restore it, and write a new file."""


@dataclass(frozen=True)
class Migration:
    """One SQL file. Its first line may declare options; raises ValueError for others.

    `code since 0012`: older code does not work with the new schema. `without transaction`: each statement runs by
    itself, as `create index concurrently` must. A statement ends with a semicolon at the end of a line. After a failure
    the file runs again from its first statement.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        """Check the first line."""
        if unknown := [option for option in self._options if not OPTION.fullmatch(option)]:
            raise ValueError(f"{self.name}: the first line declares {unknown[0]!r}, which is not known")

    @property
    def oldest_code(self) -> str | None:
        """The number of the newest migration that code must have to work with this one. None: any code works."""
        since = [option.removeprefix(CODE_SINCE) for option in self._options if option.startswith(CODE_SINCE)]
        return since[0] if since else None

    @property
    def statements(self) -> list[str]:
        """The statements that run by themselves, or none for a file that runs in one transaction."""
        if WITHOUT_TRANSACTION not in self._options:
            return []
        return [statement for statement in re.split(r";[ \t]*(?:\n|$)", self.text) if statement.strip()]

    @property
    def _options(self) -> list[str]:
        first, _, _ = self.text.partition("\n")
        if not first.startswith(HEADER):
            return []
        return [option.strip() for option in first.removeprefix(HEADER).split(",")]

    @property
    def sha256(self) -> str:
        """The hash that the database stores."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def available() -> list[Migration]:
    """Return every migration of this package, in order. Raises ValueError for a first line that is not understood."""
    folder = resources.files("migrations")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return [Migration(file.name, file.read_text("utf-8")) for file in files]


def apply(
    database_url: str,
    migrations: list[Migration] | None = None,
    *,
    patience: float = PATIENCE,
    notify: Notify = lambda _: None,
) -> Iterator[Migration]:
    """Apply the missing migrations, and yield each after its commit.

    Waits for another process that is migrating. A migration waits for a lock only shortly, because other statements
    wait behind it, and is tried again for `patience` seconds. Raises EditedMigrationError, psycopg.Error.
    """
    with psycopg.connect(
        database_url, autocommit=True, target_session_attrs="read-write", application_name="recado migrate"
    ) as connection:
        _lock(connection)
        connection.execute("set client_min_messages = warning")
        connection.execute(HISTORY)
        done: dict[str, str] = dict(connection.execute("select name, sha256 from schema_migrations").fetchall())
        wanted = available() if migrations is None else migrations
        _refuse_edited(wanted, done)
        for migration in wanted:
            if migration.name not in done:
                _apply_in_time(connection, migration, patience, notify)
                yield migration


def _refuse_edited(migrations: list[Migration], done: dict[str, str]) -> None:
    edited = [m.name for m in migrations if m.name in done and done[m.name] != m.sha256]
    if edited:
        raise EditedMigrationError(
            f"{', '.join(edited)} changed after it was applied to this database. "
            "Put the file back as it was and write the change as a new migration."
        )


def _lock(connection: psycopg.Connection[Any]) -> None:
    # A statement that waited for the lock would hold a snapshot, for which a concurrent index build waits.
    while connection.execute("select pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone() != (True,):
        time.sleep(0.1)


def _apply_in_time(connection: psycopg.Connection[Any], migration: Migration, patience: float, notify: Notify) -> None:
    def waits(_: RetryCallState) -> None:
        notify(migration)

    tries = Retrying(
        retry=retry_if_exception_type(IN_USE),
        stop=stop_after_delay(patience),
        wait=wait_exponential_jitter(initial=0.5, max=LONGEST_PAUSE, jitter=0.5),
        before_sleep=waits,
        reraise=True,
    )
    tries(_apply_one, connection, migration)


def _apply_one(connection: psycopg.Connection[Any], migration: Migration) -> None:
    connection.execute("select set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
    for statement in migration.statements:
        connection.execute(statement)
    with connection.transaction():
        if not migration.statements:
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

"""The runner: each file once, in order, by one process at a time, wholly or not at all."""

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

import migrations
from migrations import EditedMigrationError, Migration
from migrations.migrator import LOCK_KEY, LOCK_TIMEOUT
from tests.migrations.conftest import NewDatabase

ROOT = Path(__file__).resolve().parents[2]
NAMES = [migration.name for migration in migrations.available()]


def applied(url: str, files: list[Migration] | None = None) -> list[str]:
    """The names of what was applied."""
    return [migration.name for migration in migrations.apply(url, files)]


def tables(url: str) -> set[str]:
    """What is there."""
    with psycopg.connect(url) as connection:
        rows = connection.execute("select tablename from pg_tables where schemaname = 'public'").fetchall()
    return {name for (name,) in rows}


def remembered(url: str) -> list[str]:
    """What the database knows to be applied."""
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute("select name from schema_migrations order by name")]


def table(name: str) -> Migration:
    """A migration that makes one table."""
    return Migration(f"{name}.sql", f"create table {name} (id integer)")


def until(condition: Callable[[], bool]) -> None:
    """Polls."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "gave up waiting"
        time.sleep(0.01)


def test_migration_files_are_numbered_without_gaps() -> None:
    assert [int(name[:4]) for name in NAMES] == list(range(1, len(NAMES) + 1))


def test_a_second_run_does_nothing(empty: str) -> None:
    assert applied(empty) == NAMES
    made = tables(empty)
    assert {"tenants", "conversations", "inbox", "outbox", "turns", "checkpoints"} <= made
    assert applied(empty) == []
    assert (remembered(empty), tables(empty)) == (NAMES, made)


def test_only_what_is_new_is_applied(empty: str) -> None:
    assert applied(empty, [table("a")]) == ["a.sql"]
    assert applied(empty, [table("a"), table("b"), table("c")]) == ["b.sql", "c.sql"]


def test_an_edited_migration_stops_the_run(empty: str) -> None:
    applied(empty, [table("a")])
    edited = Migration("a.sql", "create table a (id integer)  -- edited")
    with pytest.raises(EditedMigrationError, match=r"a\.sql changed after it was applied"):
        applied(empty, [edited, table("b")])
    assert "b" not in tables(empty)


def test_a_failed_migration_leaves_only_the_earlier_ones(empty: str) -> None:
    broken = Migration("b.sql", "create table b (id integer); select 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        applied(empty, [table("a"), broken, table("c")])
    assert (remembered(empty), tables(empty)) == (["a.sql"], {"a", "schema_migrations"})
    assert applied(empty, [table("a"), table("b"), table("c")]) == ["b.sql", "c.sql"]


def test_concurrent_migrators_apply_each_file_once(empty: str) -> None:
    waiting = (
        "select count(*) from pg_stat_activity where query like '%pg_try_advisory_lock%' and pid <> pg_backend_pid()"
    )
    with psycopg.connect(empty, autocommit=True) as connection, ThreadPoolExecutor(2) as threads:
        connection.execute("select pg_advisory_lock(%s)", [LOCK_KEY])
        both = [threads.submit(applied, empty) for _ in range(2)]
        until(lambda: connection.execute(waiting).fetchone() == (2,))
        assert "tenants" not in tables(empty)
        connection.execute("select pg_advisory_unlock(%s)", [LOCK_KEY])
        assert sorted((future.result() for future in both), key=len) == [[], NAMES]


def test_two_databases_of_one_cluster_may_be_migrated_at_once(new_database: NewDatabase) -> None:
    """Roles belong to the cluster: both migrations make the same ones."""
    urls = [new_database(name) for name in ("first", "second")]
    start = threading.Barrier(2)

    def migrate(url: str) -> list[str]:
        start.wait(10)
        return applied(url)

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(migrate, urls)) == [NAMES, NAMES]


def test_a_migration_waits_only_shortly_for_a_lock(empty: str) -> None:
    looks = Migration("a.sql", "create table seen as select current_setting('lock_timeout') as value")
    applied(empty, [looks])
    with psycopg.connect(empty) as connection:
        assert connection.execute("select value from seen").fetchone() == (LOCK_TIMEOUT,)


def test_a_migration_that_meets_a_busy_table_changes_nothing(empty: str) -> None:
    applied(empty, [table("a")])
    impatient = Migration("b.sql", "create table b (); set local lock_timeout = '50ms'; alter table a add x integer")
    with psycopg.connect(empty) as busy:
        busy.execute("select * from a")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            list(migrations.apply(empty, [table("a"), impatient], patience=0))
    assert tables(empty) == {"a", "schema_migrations"}
    assert applied(empty, [table("a"), table("b")]) == ["b.sql"]


def test_the_lock_goes_with_the_process_that_dies(empty: str) -> None:
    run = migrations.apply(empty, [table("a"), table("b")])
    assert next(run).name == "a.sql"
    del run
    gc.collect()
    assert applied(empty, [table("a"), table("b")]) == ["b.sql"]


def test_python_m_migrations_applies_and_names_what_it_applied(empty: str) -> None:
    def run(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "migrations"]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    assert run({"OWNER_DATABASE_URL": empty}).stdout.split() == NAMES
    again = run({"OWNER_DATABASE_URL": empty})
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    without = run({})
    assert (without.returncode, without.stderr) == (1, "OWNER_DATABASE_URL is not set\n")

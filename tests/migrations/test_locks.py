"""Migrations beside a running system: claims go on while a migration waits for a table, and while it runs."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import LiteralString

import psycopg
import pytest

import migrations
from migrations import Migration
from tests.app.turns.drivers import ask
from tests.migrations.conftest import NewDatabase
from tests.platform import Platform

KNOWN = migrations.available()
ROAD = 6
"""The number of the migration that makes the last table of the road."""
WRITTEN_BEFORE = "0012"
"""Migrations before this one were written for tables without rows."""

FILL: LiteralString = """
with tenant as (insert into tenants (slug, name) values ('clinica', '') returning id),
channel as (
    insert into channels (tenant_id, account_sid, address, auth_tokens)
    select id, 'AC', 'whatsapp:+55', '' from tenant returning id, tenant_id
),
contact as (
    insert into contacts (tenant_id, channel_id, address, last_inbound_at)
    select tenant_id, id, 'whatsapp:' || number, now() from channel, generate_series(1, 3000) number
    returning id, tenant_id, channel_id
),
conversation as (
    insert into conversations (tenant_id, channel_id, contact_id, wake_at, wake_for)
    select tenant_id, channel_id, id, now(), 'idle' from contact returning id, tenant_id
),
received as (
    insert into inbox (tenant_id, conversation_id, kind, received_at)
    select tenant_id, id, 'timer', now() from conversation, generate_series(1, 3)
),
taken as (
    insert into turns (conversation_id, turn, tenant_id, attempts, claimed_at, finished_at)
    select id, number, tenant_id, 1, now(), now() from conversation, generate_series(1, 3) number
)
insert into outbox (tenant_id, conversation_id, turn, author, body, created_at, updated_at)
select tenant_id, id, 1, 'assistant', 'oi', now(), now() from conversation
"""

# What a claim locks and reads, as the code of every version does it.
CLAIM: LiteralString = """
with claimed as (
    update conversations set owner = 1, epoch = epoch + 1, attempts = 1
    where id = (select id from conversations order by random() limit 1) returning id
)
select count(*) from inbox join claimed on claimed.id = conversation_id
"""

BLOCKING = ("AccessExclusiveLock", "ExclusiveLock", "ShareRowExclusiveLock", "ShareLock")
"""The modes of table locks that a claim waits for."""
SCANNED: LiteralString = """
select distinct s.relname::text
from pg_stat_xact_user_tables s join pg_locks l on l.relation = s.relid and l.pid = pg_backend_pid()
where s.seq_tup_read > 0 and l.mode = any(%s) order by 1
"""


class Claims:
    """Claims one conversation after another. A claim that waits for two seconds fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self.count = 0
        self.failed: list[str] = []

    def run(self) -> None:
        """Claim until the end."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute("set lock_timeout = '2s'")
            while not self._stop.is_set():
                try:
                    connection.execute(CLAIM)
                    self.count += 1
                except psycopg.errors.LockNotAvailable as error:
                    self.failed.append(str(error))

    def stop(self) -> None:
        """Stop claiming."""
        self._stop.set()


@contextmanager
def claiming(url: str) -> Iterator[Claims]:
    """Claim in a thread, and assert at the end that no claim waited long."""
    claims = Claims(url)
    thread = threading.Thread(target=claims.run, name="claims")
    thread.start()
    try:
        yield claims
    finally:
        claims.stop()
        thread.join()
    assert claims.failed == []


def filled(url: str) -> None:
    """Make the tables of the road, with rows."""
    list(migrations.apply(url, KNOWN[:ROAD]))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(FILL)
        connection.execute("analyze")


def scanned_under_lock(url: str, migration: Migration) -> list[str]:
    """Return the tables that a migration reads as a whole while claims have to wait for it."""
    with psycopg.connect(url) as connection:
        connection.execute(migration.text.encode())
        found = [name for (name,) in connection.execute(SCANNED, [list(BLOCKING)])]
        connection.rollback()
        return found


async def test_claims_pass_a_migration_that_waits(platform: Platform) -> None:
    await ask(platform, "oi")
    url, waits = platform.urls.owner, threading.Event()
    widen = Migration("9999_widen.sql", "alter table conversations add column later integer")

    def migrate() -> list[Migration]:
        return list(migrations.apply(url, [*KNOWN, widen], notify=lambda _: waits.set()))

    with psycopg.connect(url) as report, claiming(url) as claims:
        report.execute("select 1 from conversations")
        migrating = asyncio.create_task(asyncio.to_thread(migrate))
        assert await asyncio.to_thread(waits.wait, 30)
        before = claims.count
        await platform.until(lambda: asyncio.sleep(0, claims.count > before + 20), "twenty claims")
        assert not migrating.done()
        report.rollback()
        assert await migrating == [widen]
    assert len(await ask(platform, "e aí?")) == 1


def test_claims_go_on_beside_every_migration(new_database: NewDatabase) -> None:
    url = new_database("filled")
    filled(url)
    with claiming(url) as claims:
        for number in range(ROAD, len(KNOWN)):
            assert list(migrations.apply(url, KNOWN[: number + 1])) == [KNOWN[number]]
    assert claims.count > 0


def test_no_migration_scans_a_table_that_claims_need(new_database: NewDatabase) -> None:
    url = new_database("filled")
    filled(url)
    for number, migration in enumerate(KNOWN):
        if migration.name >= WRITTEN_BEFORE and not migration.statements:
            list(migrations.apply(url, KNOWN[:number]))
            assert scanned_under_lock(url, migration) == [], migration.name


@pytest.mark.parametrize(
    ("text", "tables"),
    [
        ("create index late on turns (finished_at)", ["turns"]),
        ("alter table conversations add constraint late check (turn >= 0)", ["conversations"]),
        ("alter table conversations alter column wake_for set not null", ["conversations"]),
        ("alter table conversations add constraint late check (turn >= 0) not valid", []),
        ("alter table conversations add column late integer not null default 0", []),
    ],
)
def test_a_scan_under_a_lock_is_found(new_database: NewDatabase, text: str, tables: list[str]) -> None:
    """The check of the test above."""
    url = new_database("filled")
    filled(url)
    assert scanned_under_lock(url, Migration("a.sql", text)) == tables


INDEX = Migration(
    "9999_index.sql",
    """-- migration: without transaction
drop index concurrently if exists late;
create index concurrently late on conversations (turn);
""",
)
VALID: LiteralString = "select indisvalid from pg_index where indexrelid = to_regclass('late')"


def test_an_index_is_built_without_a_transaction(new_database: NewDatabase) -> None:
    url = new_database("filled")
    filled(url)
    with claiming(url):
        assert list(migrations.apply(url, [*KNOWN[:ROAD], INDEX])) == [INDEX]
    with psycopg.connect(url) as connection:
        assert connection.execute(VALID).fetchone() == (True,)
    assert list(migrations.apply(url, [*KNOWN[:ROAD], INDEX])) == []


def test_a_half_built_index_is_built_again(new_database: NewDatabase) -> None:
    url, waits = new_database("filled"), threading.Event()
    filled(url)

    with psycopg.connect(url) as writer, psycopg.connect(url, autocommit=True) as connection:
        writer.execute("update conversations set turn = 1")
        run = threading.Thread(
            target=lambda: list(migrations.apply(url, [*KNOWN[:ROAD], INDEX], notify=lambda _: waits.set()))
        )
        run.start()
        assert waits.wait(30)
        assert connection.execute(VALID).fetchone() in ((False,), None)
        assert connection.execute("select 1 from schema_migrations where name = %s", [INDEX.name]).fetchone() is None
        writer.rollback()
        run.join()
        assert connection.execute(VALID).fetchone() == (True,)

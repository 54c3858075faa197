"""Behind a pooler in transaction mode, which gives each transaction another session."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import psycopg
import pytest

from app.background import Heartbeats
from app.config import Settings
from app.db import Database, Role
from app.turns.worker_lease import WorkerLease
from devkit.database_urls import DatabaseUrls
from tests.platform import Log, Platform
from tests.transaction_pooler import TransactionPooler, pooling

SESSIONS = 2

SESSION = """
select current_user::text as name, current_setting('role') as role, current_setting('app.tenant_id', true) as tenant,
    current_setting('plan_cache_mode') as plan_cache_mode
"""


@pytest.fixture
async def pooler(urls: DatabaseUrls) -> AsyncIterator[TransactionPooler]:
    async with pooling(urls.owner, SESSIONS) as pooler:
        yield pooler


async def two_tenants(urls: DatabaseUrls) -> list[UUID]:
    ids = [uuid.uuid4(), uuid.uuid4()]
    async with Database(urls.system, role=Role.SYSTEM, size=1) as system, system.transaction() as tx:
        for tenant_id in ids:
            query = "insert into tenants (id, slug, name) values (%(id)s, %(slug)s, '')"
            await tx.run(query, {"id": tenant_id, "slug": f"t{tenant_id.hex}"})
    return ids


async def seen(database: Database, tenant_id: UUID | None, number: int) -> list[UUID]:
    """Return the tenants that a statement or a transaction sees. Some fail before."""
    query = "select id from tenants order by id"
    if number % 5 == 0:
        with pytest.raises(psycopg.errors.DivisionByZero):
            async with database.statement(tenant_id) as tx:
                await tx.all(dict, "select 1 / 0", {})
    opening = database.statement if number % 2 else database.transaction
    async with opening(tenant_id) as tx:
        found = [row["id"] for row in await tx.all(dict, query, {})]
        assert [row["id"] for row in await tx.all(dict, query, {})] == found
        return found


async def test_clients_keep_to_their_tenants(urls: DatabaseUrls, pooler: TransactionPooler) -> None:
    ids = await two_tenants(urls)
    async with AsyncExitStack() as stack:
        apps = [
            await stack.enter_async_context(Database(pooler.through(urls.app), size=2, prepares=False))
            for _ in range(3)
        ]
        system = await stack.enter_async_context(
            Database(pooler.through(urls.system), role=Role.SYSTEM, size=2, prepares=False)
        )
        wanted = [ids[number % 2] for number in range(60)]
        found = await asyncio.gather(
            *(seen(apps[number % 3], tenant_id, number) for number, tenant_id in enumerate(wanted)),
            *(seen(system, None, number) for number in range(20)),
            *(seen(apps[0], None, number) for number in range(20)),
        )
    assert found[:60] == [[tenant_id] for tenant_id in wanted]
    assert found[60:80] == [sorted(ids)] * 20
    assert found[80:] == [[]] * 20
    assert pooler.clients > pooler.sessions == 2 * SESSIONS


async def test_nothing_stays_in_a_session(urls: DatabaseUrls, pooler: TransactionPooler) -> None:
    (tenant_id, _) = await two_tenants(urls)
    async with Database(pooler.through(urls.app), size=2, prepares=False) as app:
        await asyncio.gather(*(seen(app, tenant_id, number) for number in range(20)))
    async with await psycopg.AsyncConnection.connect(pooler.through(urls.app), autocommit=True) as other:
        for _ in range(2 * SESSIONS):
            row = await (await other.execute(SESSION)).fetchone()
            assert row is not None
            assert row[:2] == ("recado_app_login", "none")
            assert not row[2]
            assert row[3] == "auto"
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await other.execute("select 1 from tenants")


async def test_statements_that_are_prepared_by_name_fail(urls: DatabaseUrls, pooler: TransactionPooler) -> None:
    """Why DIRECT_DATABASE_URL turns them off. The sessions of the pooler know other names."""
    (tenant_id, _) = await two_tenants(urls)
    url = pooler.through(urls.app)
    async with Database(url, size=1) as app, Database(url, size=1):
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            await seen(app, tenant_id, 1)


async def test_a_statement_takes_one_round_trip(urls: DatabaseUrls, pooler: TransactionPooler) -> None:
    """And a transaction one for its begin, and one for its end."""
    (tenant_id, _) = await two_tenants(urls)
    async with (
        Database(pooler.through(urls.app), size=1, prepares=False) as app,
        Database(pooler.through(urls.system), role=Role.SYSTEM, size=1, prepares=False) as system,
    ):
        for database in (app, system):
            for opening, round_trips in ((database.statement, 1), (database.transaction, 3)):
                before = pooler.round_trips
                async with opening(tenant_id) as tx:
                    await tx.all(dict, "select 1", {})
                assert pooler.round_trips - before == round_trips


def behind(pooler: TransactionPooler, settings: Settings) -> dict[str, str]:
    return {
        "database_url": pooler.through(settings.database_url),
        "system_database_url": pooler.through(settings.system_database_url),
        "direct_database_url": settings.system_database_url,
    }


async def test_api_and_worker_run_behind_a_pooler(platform: Platform, log: Log) -> None:
    assert platform.engine is not None
    await platform.engine.close()
    contacts = [f"whatsapp:+551198800{number:04}" for number in range(12)]
    async with pooling(platform.urls.owner, SESSIONS) as pooler:
        changes = behind(pooler, platform.settings)
        async with platform.api(**changes) as at, platform.worker(**changes) as platform.engine:
            messages = [platform.webhook(f"oi {contact}", contact=contact) for contact in contacts]
            answers = await asyncio.gather(*(platform.post(message, at=at) for message in messages))
            assert [status for status, _ in answers] == [200] * len(contacts)
            await platform.nudge()
            for contact in contacts:
                assert await platform.replies(1, contact) == [f"eco: oi {contact}"]
        assert pooler.clients > pooler.sessions
    assert "pooler" not in log.text, "the lock is on a direct connection"


async def test_a_lock_behind_a_pooler_is_no_lease(platform: Platform, log: Log) -> None:
    """The lock may stay with the session when its worker is gone, and no check of the worker may pass without it."""
    async with pooling(platform.urls.owner, SESSIONS) as pooler:
        url = pooler.through(platform.settings.system_database_url)
        async with Database(url, role=Role.SYSTEM, size=2, prepares=False):
            lease = WorkerLease(url, platform.system, platform.clock, 0.3, Heartbeats())
            await lease.start()
            try:
                await platform.until(lambda: noted(log, "LockNotHeld"), "the lease to be lost")
            finally:
                await lease.close()
    assert "set DIRECT_DATABASE_URL" in log.text


async def noted(log: Log, text: str) -> bool:
    return text in log.text

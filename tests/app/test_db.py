"""The door to Postgres: whose rows a statement sees, what a transaction keeps, and how an outage is waited out."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb
from psycopg_pool import PoolTimeout

from app import db
from app.db import Database, DatabaseUnavailable, Role, Transaction
from bench.chaos.outages import read_only_database
from devkit.database_urls import DatabaseUrls
from tests.reusable_database import CUT_CONNECTIONS

Names = list[str]


@dataclass(frozen=True)
class Tenant:
    id: UUID
    slug: str


@dataclass
class Databases:
    """Both roles, and two tenants who see only themselves."""

    urls: DatabaseUrls
    app: Database
    system: Database
    one: UUID
    two: UUID


@pytest.fixture
async def databases(urls: DatabaseUrls) -> AsyncIterator[Databases]:
    one, two = uuid.uuid4(), uuid.uuid4()
    async with Database(urls.app, size=2) as app, Database(urls.system, role=Role.SYSTEM, size=2) as system:
        async with system.transaction() as tx:
            for tenant_id, slug in ((one, "um"), (two, "dois")):
                await add(tx, tenant_id, slug)
        yield Databases(urls, app, system, one, two)


async def add(tx: Transaction, tenant_id: UUID, slug: str) -> None:
    await tx.run("insert into tenants (id, slug, name) values (%(id)s, %(slug)s, '')", {"id": tenant_id, "slug": slug})


async def slugs(tx: Transaction) -> Names:
    return [row["slug"] for row in await tx.all(dict, "select slug from tenants order by slug", {})]


class TestTenant:
    async def test_a_statement_sees_its_tenant_and_the_system_sees_all(self, databases: Databases) -> None:
        async with databases.app.statement(databases.one) as tx:
            assert await slugs(tx) == ["um"]
        async with databases.app.transaction(databases.two) as tx:
            assert await slugs(tx) == ["dois"]
        async with databases.system.statement() as tx:
            assert await slugs(tx) == ["dois", "um"]

    async def test_a_pooled_connection_forgets_its_tenant(self, databases: Databases) -> None:
        async with Database(databases.urls.app, size=1) as single:
            for _ in range(3):
                async with single.statement(databases.one) as tx:
                    assert await slugs(tx) == ["um"]
                async with single.statement() as tx:
                    assert await slugs(tx) == []
                async with single.transaction(databases.two) as tx:
                    assert await slugs(tx) == ["dois"]
                async with single.transaction() as tx:
                    assert await slugs(tx) == []

    async def test_not_even_after_an_error(self, databases: Databases) -> None:
        async with Database(databases.urls.app, size=1) as single:
            for open_ in (single.statement, single.transaction):
                with pytest.raises(psycopg.errors.DivisionByZero):
                    async with open_(databases.one) as tx:
                        await tx.all(dict, "select 1 / 0", {})
                async with single.statement() as tx:
                    assert await slugs(tx) == []
                async with single.statement(databases.two) as tx:
                    assert await slugs(tx) == ["dois"]

    async def test_statements_at_once_keep_to_their_tenants(self, databases: Databases) -> None:
        async def seen(tenant_id: UUID) -> Names:
            async with databases.app.statement(tenant_id) as tx:
                return await slugs(tx)

        found = await asyncio.gather(*(seen(tenant_id) for tenant_id in [databases.one, databases.two] * 50))
        assert found == [["um"], ["dois"]] * 50

    async def test_a_statement_cannot_write_for_another_tenant(self, databases: Databases) -> None:
        async with databases.app.statement(databases.one) as tx:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await add(tx, uuid.uuid4(), "tres")
            assert await slugs(tx) == ["um"], "and the connection still works"


class TestTransaction:
    async def test_all_or_nothing(self, databases: Databases) -> None:
        async def adds_one_too_many() -> None:
            async with databases.system.transaction() as tx:
                await add(tx, uuid.uuid4(), "tres")
                await add(tx, uuid.uuid4(), "um")

        with pytest.raises(psycopg.errors.UniqueViolation):
            await adds_one_too_many()
        async with databases.system.transaction() as tx:
            await add(tx, uuid.uuid4(), "quatro")
            async with databases.system.statement() as other:
                assert await slugs(other) == ["dois", "um"], "nothing is seen before it is committed"
        async with databases.system.statement() as tx:
            assert await slugs(tx) == ["dois", "quatro", "um"]

    async def test_a_cancelled_one_is_undone(self, databases: Databases) -> None:
        written = asyncio.Event()

        async def never_ends() -> None:
            async with databases.system.transaction() as tx:
                await add(tx, uuid.uuid4(), "tres")
                written.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(never_ends())
        await written.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with databases.system.statement() as tx:
            assert await slugs(tx) == ["dois", "um"]

    async def test_each_statement_stands_for_itself(self, databases: Databases) -> None:
        async with databases.system.statement() as tx:
            await add(tx, uuid.uuid4(), "tres")
            with pytest.raises(psycopg.errors.UniqueViolation):
                await add(tx, uuid.uuid4(), "tres")
            assert await slugs(tx) == ["dois", "tres", "um"]


class TestValues:
    async def test_rows_come_as_the_class_that_was_asked_for(self, databases: Databases) -> None:
        async with databases.app.statement(databases.one) as tx:
            query = "select id, slug from tenants where slug = %(slug)s"
            assert await tx.one(Tenant, query, {"slug": "um"}) == Tenant(databases.one, "um")
            assert await tx.one(Tenant, query, {"slug": "dois"}) is None
            assert await tx.one(dict, query, {"slug": "um"}) == {"id": databases.one, "slug": "um"}

    async def test_a_name_may_be_used_often_and_values_may_be_spare(self, databases: Databases) -> None:
        async with databases.app.statement(databases.one) as tx:
            query = "select %(b)s::int + %(a)s::int * %(b)s::int as sum, '100%%' as share, %(a)s::text as text"
            found = await tx.one(dict, query, {"a": "3", "b": 7, "unused": object()})
        assert found == {"sum": 28, "share": "100%%", "text": "3"}

    async def test_a_value_is_never_sql(self, databases: Databases) -> None:
        hostile = "'; delete from tenants; -- %(id)s $1"
        async with databases.system.statement() as tx:
            assert await tx.one(dict, "select %(text)s::text as text", {"text": hostile}) == {"text": hostile}
            assert await slugs(tx) == ["dois", "um"]

    async def test_what_goes_in_comes_out(self, databases: Databases) -> None:
        values = {
            "document": Jsonb({"a": [1, 2.5, None, True], "ção": "👋"}),
            "at": datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC),
            "list": ["a", None, "ç,{}\"'\\"],
            "bytes": b"\x00\xff",
        }
        query = """select %(document)s::jsonb as document, %(at)s::timestamptz as at, %(list)s::text[] as list,
            %(bytes)s::bytea as bytes"""
        async with databases.app.statement(databases.one) as tx:
            found = await tx.one(dict, query, values)
        assert found == {**values, "document": {"a": [1, 2.5, None, True], "ção": "👋"}}


class TestAway:
    @pytest.mark.parametrize("error", [psycopg.errors.AdminShutdown(), PoolTimeout()])
    async def test_an_outage_is_waited_out(self, error: psycopg.Error) -> None:
        tries = 0

        async def attempt() -> str:
            nonlocal tries
            tries += 1
            if tries < 3:
                raise DatabaseUnavailable(error)
            return "done"

        assert await db.retry_while_unavailable(attempt, within=60) == "done"
        assert tries == 3

    async def test_but_not_for_ever(self) -> None:
        async def attempt() -> None:
            raise DatabaseUnavailable(psycopg.errors.AdminShutdown())

        with pytest.raises(DatabaseUnavailable, match="AdminShutdown 57P01"):
            await db.retry_while_unavailable(attempt, within=0.01)

    @pytest.mark.parametrize(
        "error",
        [psycopg.errors.QueryCanceled(), psycopg.errors.UniqueViolation(), ValueError(), asyncio.CancelledError()],
    )
    async def test_what_trying_again_cannot_mend_is_raised_at_once(self, error: BaseException) -> None:
        tries = 0

        async def attempt() -> None:
            nonlocal tries
            tries += 1
            raise error

        with pytest.raises(type(error)):
            await db.retry_while_unavailable(attempt, within=60)
        assert tries == 1


RAISE = "do $$ begin raise sqlstate '{state}' using message = 'a secret'; end $$"


class TestUnavailable:
    """SQLSTATE decides, not the driver's class."""

    @pytest.mark.parametrize(
        "state", ["08006", "25006", "40001", "40P01", "53100", "53300", "57P01", "57P02", "57P03", "57P05"]
    )
    @pytest.mark.parametrize("opening", ["statement", "transaction"])
    async def test_what_passes_is_unavailability(self, databases: Databases, state: str, opening: str) -> None:
        with pytest.raises(DatabaseUnavailable) as raised:
            async with getattr(databases.app, opening)(databases.one) as tx:
                await tx.run(RAISE.format(state=state), {})
        assert raised.value.sqlstate == state
        assert "secret" not in str(raised.value)

    @pytest.mark.parametrize("state", ["54000", "57014", "53200", "55P03", "58030", "XX000", "22021", "P0001"])
    @pytest.mark.parametrize("opening", ["statement", "transaction"])
    async def test_what_does_not_pass_is_a_fault(self, databases: Databases, state: str, opening: str) -> None:
        with pytest.raises(psycopg.Error) as raised:
            async with getattr(databases.app, opening)(databases.one) as tx:
                await tx.run(RAISE.format(state=state), {})
        assert raised.value.diag.sqlstate == state

    @pytest.mark.parametrize("opening", ["statement", "transaction"])
    async def test_a_broken_connection_is_unavailability(self, databases: Databases, opening: str) -> None:
        async with getattr(databases.app, opening)(databases.one) as tx:
            with psycopg.connect(databases.urls.owner, autocommit=True) as connection:
                connection.execute(CUT_CONNECTIONS, ("test",))
            with pytest.raises(DatabaseUnavailable):
                await slugs(tx)

    async def test_a_closed_pool_is_unavailability(self, database_url: str) -> None:
        async with Database(database_url, size=1) as single:
            pass
        with pytest.raises(DatabaseUnavailable):
            async with single.statement() as tx:
                await slugs(tx)

    async def test_a_read_only_session_leaves_the_pool(self, databases: Databases) -> None:
        async with Database(databases.urls.system, role=Role.SYSTEM, size=1) as single:
            async with single.statement() as tx:
                await tx.run("set default_transaction_read_only = on", {})
            with pytest.raises(DatabaseUnavailable, match="25006"):
                async with single.statement() as tx:
                    await add(tx, uuid.uuid4(), "tres")
            async with single.statement() as tx:
                await add(tx, uuid.uuid4(), "tres")

    async def test_only_a_writable_server_is_connected_to(self, database_url: str) -> None:
        with read_only_database(database_url), pytest.raises(psycopg.OperationalError, match="read-only"):
            await db.connect(database_url)

"""What the migrations make: LangGraph's own tables as LangGraph makes them, and every tenant's rows apart."""

from typing import Any

import aiohttp
import psycopg
import pytest
from langgraph.checkpoint.postgres import PostgresSaver
from psycopg import Connection
from psycopg.rows import dict_row

import migrations
from devkit import embedded
from devkit.database_urls import DatabaseUrls
from tests.platform import SimulatorUrls, running_platform

LANGGRAPHS = ["checkpoint_blobs", "checkpoint_migrations", "checkpoint_writes", "checkpoints"]
SHARED = {"schema_migrations", "checkpoint_migrations", "usage_summed", "workers"}
"""Tables that belong to no tenant."""

COLUMNS = """
    select table_name, column_name, data_type, is_nullable, column_default
    from information_schema.columns
    where table_schema = 'public' and table_name = any(%s) and column_name <> 'tenant_id'
    order by table_name, ordinal_position
"""
INDEXES = "select tablename, indexname, indexdef from pg_indexes where tablename = any(%s) order by 1, 2"
CONSTRAINTS = """
    select conrelid::regclass::text as target, conname, pg_get_constraintdef(oid) as definition
    from pg_constraint where conrelid::regclass::text = any(%s) and contype <> 'n' order by 1, 2
"""


def shape(connection: Connection[Any]) -> dict[str, list[Any]]:
    """Columns, indexes and constraints of LangGraph's tables, and which of its migrations are done."""
    made = {query: connection.execute(query, [LANGGRAPHS]).fetchall() for query in (COLUMNS, INDEXES, CONSTRAINTS)}
    return {**made, "done": connection.execute("select v from checkpoint_migrations order by v").fetchall()}


def test_langgraphs_tables_are_as_langgraph_makes_them(empty: str, database_url: str) -> None:
    with PostgresSaver.from_conn_string(empty) as saver:
        saver.setup()
    with psycopg.connect(empty) as theirs, psycopg.connect(database_url) as ours:
        assert shape(ours) == shape(theirs)
        assert len(shape(theirs)[COLUMNS]) > 15, "nothing was compared"


def test_langgraphs_own_setup_finds_nothing_to_do(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        before = shape(connection)
        with PostgresSaver.from_conn_string(database_url) as saver:
            saver.setup()
            assert before["done"][-1] == (len(saver.MIGRATIONS) - 1,)
        assert shape(connection) == before


def test_every_table_that_is_not_shared_keeps_tenants_apart(database_url: str) -> None:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        found = connection.execute(
            """select c.relname, c.relrowsecurity and c.relforcerowsecurity as forced,
                   array(select polname from pg_policy p where p.polrelid = c.oid order by 1)::text[] as policies
               from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'"""
        ).fetchall()
    assert {row["relname"] for row in found} >= SHARED
    apart = [row for row in found if row["relname"] not in SHARED]
    assert len(apart) > 10
    assert [row for row in apart if not row["forced"] or row["policies"] != ["all_tenants", "one_tenant"]] == []


NEVER_DELETED = ["tenants", "channels", "assistant_versions", "assistant_publications"]


def test_every_foreign_key_has_an_index(database_url: str) -> None:
    """Without one, deleting a row reads the whole table that refers to it. What is never deleted needs none."""
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            """select c.conrelid::regclass::text, c.conname::text from pg_constraint c
               where c.contype = 'f' and c.confrelid <> all(%s::regclass[]) and not exists (
                   select from pg_index i
                   where i.indrelid = c.conrelid and i.indisvalid
                       and coalesce(pg_get_expr(i.indpred, i.indrelid), '') ~ '^(\\(\\w+ IS NOT NULL\\))?$'
                       -- The tenant alone finds too many rows.
                       and i.indkey[0] = any(c.conkey)
                       and (cardinality(c.conkey) = 1 or i.indkey[0] <> (
                           select attnum from pg_attribute where attrelid = c.conrelid and attname = 'tenant_id'
                       ) or i.indkey[1] = any(c.conkey))
               )""",
            [NEVER_DELETED],
        ).fetchall()
    assert found == []


@pytest.mark.parametrize("role", ["recado_app", "recado_system"])
def test_the_roles_own_nothing_and_stand_above_nothing(database_url: str, role: str) -> None:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        found = connection.execute(
            """select rolsuper or rolcreaterole or rolcreatedb or rolbypassrls or rolcanlogin as above,
                   exists (select from pg_class where relowner = r.oid) as owns
               from pg_roles r where rolname = %s""",
            [role],
        ).fetchone()
    assert found == {"above": False, "owns": False}


async def test_a_login_that_is_no_superuser_is_enough(
    hosted: embedded.Postgres, redis_url: str, simulators: SimulatorUrls
) -> None:
    everything = [migration.name for migration in migrations.available()]
    for name in ("one", "two"):
        url = f"postgresql://clinic:clinic@127.0.0.1:{hosted.port}/{name}"
        urls = DatabaseUrls.of_owner(url)
        assert [migration.name for migration in urls.migrate()] == everything
        assert list(urls.migrate()) == []
    async with aiohttp.ClientSession() as http:
        for address in (simulators.twilio, simulators.model):
            async with http.post(f"{address}/control/reset", json={}):
                pass
        async with running_platform(url, redis_url, simulators, http) as platform:
            await platform.say("quero marcar agora")
            await platform.nudge()
            (reply,) = await platform.replies(1)
            assert reply.startswith("marcado sala@")
            assert await platform.rows("select 1 from checkpoints")


FOREIGN_KEYS = """
    select f.conrelid::regclass::text as child, f.conname as name, f.convalidated as valid,
        array(select attname::text from pg_attribute where attrelid = f.conrelid and attnum = any(f.conkey)) as columns
    from pg_constraint f
    where f.contype = 'f' and f.confrelid <> 'tenants'::regclass and exists (
        select from pg_attribute where attrelid = f.conrelid and attname = 'tenant_id'
    )
"""
REFERENCES = """
    select c.relname::text as child, a.attname::text as name
    from pg_class c join pg_attribute a on a.attrelid = c.oid
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped
        and (a.attname like '%%\\_id' or a.attname = 'held_for') and a.atttypid in ('uuid'::regtype, 'bigint'::regtype)
        and a.attname <> 'tenant_id'
"""


def test_every_foreign_key_names_the_tenant(database_url: str) -> None:
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        keys = connection.execute(FOREIGN_KEYS).fetchall()
        references = connection.execute(REFERENCES.replace("%%", "%")).fetchall()
    assert len(keys) > 10
    assert [key for key in keys if "tenant_id" not in key["columns"] or not key["valid"]] == []
    named = {(key["child"], column) for key in keys for column in key["columns"]}
    loose = {(row["child"], row["name"]) for row in references} - named
    assert loose == {("usage_ledger", "conversation_id")}, "what a tenant has used outlives its conversations"

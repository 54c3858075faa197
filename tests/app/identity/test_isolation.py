"""Who may see what: no row of one tenant is within another's reach, in any table, by any statement."""

import uuid
from collections.abc import Iterator
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import Connection, sql
from psycopg.rows import dict_row

from app.crypto import SecretBox
from app.identity import secrets
from app.retention import service as retention
from manifest.loader import MAIN
from tests.platform import ACCOUNT_SID, NUMBER, TENANT, TOKEN, Platform, tenant_manifest

NEIGHBOUR, NEIGHBOUR_NUMBER = "vizinha", "whatsapp:+551140000002"
NEIGHBOUR_ACCOUNT, NEIGHBOUR_TOKEN = "AC" + "2" * 32, "the-token-of-the-neighbour"
WITHOUT_TENANT = {"checkpoint_migrations", "schema_migrations", "usage_summed", "workers"}
"""Tables that belong to the system; the app's role may at most read them."""
NOT_ALLOWED = psycopg.errors.InsufficientPrivilege
SUMS = "usage_hours"
"""A table to which the app's role may not even add."""
READ_ONLY = {"usage_ledger", SUMS}
"""Tables that the app's role may not change. To the ledger it may add."""

Row = dict[str, Any]


class Tenants:
    """Two tenants with something in every table, and the database as the app's role sees it for one of them."""

    def __init__(self, url: str, ids: tuple[UUID, UUID]) -> None:
        self.url = url
        self.mine, self.theirs = ids

    def as_app(self, tenant_id: UUID | None) -> Connection[Row]:
        connection = psycopg.connect(self.url, row_factory=dict_row)
        connection.execute("set role recado_app")
        if tenant_id is not None:
            connection.execute("select set_config('app.tenant_id', %s, false)", (str(tenant_id),))
        connection.commit()
        return connection

    def superuser(self) -> Connection[Row]:
        return psycopg.connect(self.url, row_factory=dict_row)

    def relations(self, kind: str) -> list[str]:
        with self.superuser() as connection:
            found = connection.execute(
                """select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = %s
                   order by relname""",
                (kind,),
            )
            return [row["relname"] for row in found]

    @property
    def tables(self) -> list[str]:
        return [table for table in self.relations("r") if table not in WITHOUT_TENANT]

    @staticmethod
    def column(table: str) -> str:
        return "id" if table == "tenants" else "tenant_id"

    def query(self, text: LiteralString, table: str) -> sql.Composed:
        return sql.SQL(text).format(table=sql.Identifier(table), tenant=sql.Identifier(self.column(table)))


@pytest.fixture(scope="module")
async def filled(lasting_platform: Platform) -> Tenants:
    """Everything that a tenant can have: a booking, a handoff, replies, callbacks; all through Twilio's doors."""
    platform = lasting_platform
    files = dict(tenant_manifest().files)
    text = files[MAIN].replace("    tools: [request_human]", "    tools: [request_human, search_knowledge]")
    knowing = {**files, MAIN: f"{text}knowledge: [a.md]\n", "a.md": "A limpeza custa R$ 220."}
    for slug in (TENANT, NEIGHBOUR):
        await platform.publish(slug, knowing)
    await platform.add_channel(NEIGHBOUR, NEIGHBOUR_NUMBER, NEIGHBOUR_ACCOUNT, NEIGHBOUR_TOKEN)
    owners = [(NUMBER, ACCOUNT_SID, TOKEN), (NEIGHBOUR_NUMBER, NEIGHBOUR_ACCOUNT, NEIGHBOUR_TOKEN)]
    for number, account, token in owners:
        for contact, body in [("1", "quero marcar agora"), ("2", "atendente"), ("3", "oi")]:
            message = platform.webhook(body, contact=f"whatsapp:+551199000000{contact}", To=number, AccountSid=account)
            assert (await platform.post(message, token=token))[0] == 200
    await platform.nudge()
    for contact in "123":
        await platform.replies(2, f"whatsapp:+551199000000{contact}")

    async def told() -> bool:
        return len(await platform.rows("select 1 from status_callbacks where status = 'delivered'")) >= 6

    await platform.until(told, "Twilio's callbacks")
    box = SecretBox(platform.settings.secret_key)
    for slug in (TENANT, NEIGHBOUR):
        await secrets.keep(platform.system, box, slug, "SHOP_TOKEN", "geheim", platform.clock)
        await retention.set_retention(platform.system, slug, "usage", 30)
    await platform.rows("insert into usage_hours (tenant_id, hour, tokens) select id, now(), 1 from tenants")
    ids = [(await platform.row("select id from tenants where slug = %(s)s", s=s))["id"] for s in (TENANT, NEIGHBOUR)]
    return Tenants(platform.urls.owner, (ids[0], ids[1]))


@pytest.fixture
def app(filled: Tenants) -> Iterator[Connection[Row]]:
    """The app's role, working for the first tenant. What a test does is undone."""
    with filled.as_app(filled.mine) as connection:
        yield connection
        connection.rollback()


def test_every_table_has_a_tenant_or_a_reason(filled: Tenants) -> None:
    with filled.superuser() as connection:
        columns = connection.execute(
            "select table_name from information_schema.columns where table_schema = 'public' and column_name = %s",
            ("tenant_id",),
        ).fetchall()
    views = set(filled.relations("v"))
    with_tenant = {row["table_name"] for row in columns} - views
    assert with_tenant == set(filled.tables) - {"tenants"}


def test_every_tenants_table_forces_its_policies_on_everybody(filled: Tenants) -> None:
    with filled.superuser() as connection:
        secured = connection.execute(
            """select relname from pg_class where relnamespace = 'public'::regnamespace
               and relkind = 'r' and relrowsecurity and relforcerowsecurity"""
        ).fetchall()
        policies = connection.execute("select tablename, policyname, roles::text[] from pg_policies").fetchall()
    assert sorted(row["relname"] for row in secured) == filled.tables
    roles = {(row["tablename"], role) for row in policies for role in row["roles"]}
    assert roles == {(table, role) for table in filled.tables for role in ("recado_app", "recado_system")}


def test_our_roles_own_nothing_and_bypass_nothing(filled: Tenants) -> None:
    with filled.superuser() as connection:
        roles = connection.execute(
            """select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcanlogin, rolinherit from pg_roles
               where rolname in ('recado_app', 'recado_system')"""
        ).fetchall()
        owned = connection.execute(
            "select 1 from pg_class where relowner in (select oid from pg_roles where rolname like 'recado\\_%')"
        ).fetchall()
        definers = connection.execute(
            "select proname from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
        ).fetchall()
    assert {role["rolname"] for role in roles} == {"recado_app", "recado_system"}
    assert not any(value for role in roles for name, value in role.items() if name != "rolname")
    assert owned == definers == []


def test_both_tenants_have_rows_in_every_table(filled: Tenants) -> None:
    """Without them the tests below would prove nothing."""
    with filled.superuser() as connection:
        for table in filled.tables:
            found = connection.execute(filled.query("select distinct {tenant} as id from {table}", table)).fetchall()
            assert {row["id"] for row in found} == {filled.mine, filled.theirs}, table


def test_nothing_of_another_tenant_is_seen(filled: Tenants, app: Connection[Row]) -> None:
    for table in filled.tables:
        found = app.execute(filled.query("select distinct {tenant} as id from {table}", table)).fetchall()
        assert [row["id"] for row in found] == [filled.mine], table


def test_views_show_no_more_than_their_tables(filled: Tenants, app: Connection[Row]) -> None:
    def transcript(connection: Connection[Row]) -> set[UUID]:
        return {row["conversation_id"] for row in connection.execute("select conversation_id from transcript")}

    assert set(filled.relations("v")) == {"live_workers", "transcript"}
    with filled.superuser() as connection:
        mine = connection.execute("select id from conversations where tenant_id = %s", (filled.mine,)).fetchall()
        assert transcript(connection) > transcript(app)
    assert transcript(app) == {row["id"] for row in mine}
    with filled.as_app(None) as nobody:
        assert transcript(nobody) == set()


def changed(connection: Connection[Row], statement: sql.Composed, table: str) -> int:
    """Return the number of rows that the statement changes. Some refuse every change."""
    if table not in READ_ONLY:
        return connection.execute(statement).rowcount
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(statement)
    return 0


@pytest.mark.parametrize("tenant_id", [None, uuid.UUID(int=0)])
def test_without_a_tenant_there_is_nothing(filled: Tenants, tenant_id: UUID | None) -> None:
    with filled.as_app(tenant_id) as connection:
        for table in filled.tables:
            assert connection.execute(filled.query("select 1 from {table}", table)).fetchall() == [], table
            assert changed(connection, filled.query("delete from {table}", table), table) == 0, table
        connection.rollback()


def test_nothing_of_another_tenant_is_changed_or_deleted(filled: Tenants, app: Connection[Row]) -> None:
    for table in filled.tables:
        one = sql.SQL("{} = {}").format(sql.Identifier(filled.column(table)), sql.Literal(filled.theirs))
        update = filled.query("update {table} set {tenant} = {tenant} where ", table) + one
        assert changed(app, update, table) == 0, table
        assert changed(app, filled.query("delete from {table} where ", table) + one, table) == 0, table


def test_a_row_cannot_be_given_to_another_tenant(filled: Tenants, app: Connection[Row]) -> None:
    for table in filled.tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(filled.query("update {table} set {tenant} = %s", table), (filled.theirs,))
        app.rollback()


def test_a_row_cannot_be_written_for_another_tenant(filled: Tenants, app: Connection[Row]) -> None:
    """A copy of a row of theirs; one of ours gets as far as the unique keys, so it is the tenant that is refused."""
    for table in filled.tables:
        insert = filled.query(
            "insert into {table} overriding system value select * from jsonb_populate_record(null::{table}, %s::jsonb)",
            table,
        )
        for owner, error in [
            (filled.theirs, NOT_ALLOWED),
            (filled.mine, NOT_ALLOWED if table == SUMS else psycopg.errors.UniqueViolation),
        ]:
            with filled.superuser() as connection:
                query = filled.query("select to_jsonb({table})::text as row from {table} where {tenant} = %s", table)
                row = connection.execute(query + sql.SQL(" limit 1"), (owner,)).fetchone()
                assert row is not None
            with pytest.raises(error):
                app.execute(insert, (row["row"],))
            app.rollback()


def test_the_systems_tables_are_not_the_apps_to_write(filled: Tenants, app: Connection[Row]) -> None:
    for table in WITHOUT_TENANT:
        for statement in ("delete from {table}", "insert into {table} default values", "truncate {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(filled.query(statement, table))
            app.rollback()


def test_the_app_can_neither_truncate_nor_alter(filled: Tenants, app: Connection[Row]) -> None:
    for table in filled.tables:
        for statement in (
            "truncate {table} cascade",
            "alter table {table} disable row level security",
            "alter table {table} no force row level security",
            "drop policy one_tenant on {table}",
            "drop table {table} cascade",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                app.execute(filled.query(statement, table))
            app.rollback()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("create table mine (id int)")
    app.rollback()


def test_a_tenant_that_is_no_id_is_an_error_and_not_everything(filled: Tenants, app: Connection[Row]) -> None:
    for nonsense in ("*", "' or true --", str(filled.mine) + "x"):
        app.execute("select set_config('app.tenant_id', %s, true)", (nonsense,))
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            app.execute("select 1 from inbox").fetchall()
        app.rollback()


def test_a_row_cannot_name_a_parent_of_another_tenant(filled: Tenants, app: Connection[Row]) -> None:
    with filled.superuser() as connection:
        found = connection.execute(
            "select id from conversations where tenant_id = %s limit 1", (filled.theirs,)
        ).fetchone()
        assert found is not None
    for table in ("inbox", "interrupts", "outbox", "appointments"):
        query = filled.query("update {table} set conversation_id = %s where {tenant} = %s", table)
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            app.execute(query, (found["id"], filled.mine))
        app.rollback()

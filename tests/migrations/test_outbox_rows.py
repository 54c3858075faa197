"""Rows that were in the outbox before it had due times: open ones are sent, and the others stay as they are."""

import psycopg
from psycopg.rows import dict_row

import migrations
from devkit import embedded

BEFORE = "0013"
ROWS = """
with tenant as (insert into tenants (slug, name) values ('um', 'Um') returning id),
channel as (
    insert into channels (tenant_id, account_sid, address, auth_tokens)
    select id, 'AC1', 'whatsapp:+551140000001', 'x' from tenant returning id, tenant_id
),
contact as (
    insert into contacts (tenant_id, channel_id, address, last_inbound_at)
    select tenant_id, id, 'whatsapp:+5511990000001', now() from channel returning id, tenant_id, channel_id
),
conversation as (
    insert into conversations (tenant_id, channel_id, contact_id)
    select tenant_id, channel_id, id from contact returning id, tenant_id
)
insert into outbox (
    tenant_id, conversation_id, turn, author, body, status, retry_at, parked_at, created_at, updated_at
)
select tenant_id, id, 1, 'assistant', kind.name, kind.status, kind.retry_at, kind.parked_at, now(), now()
from conversation, (values
    ('queued', 'queued', null, null::timestamptz),
    ('sending', 'sending', null, null),
    ('retrying', 'retrying', timestamptz '2100-01-01 00:00Z', null),
    ('parked', 'unknown', timestamptz '2100-01-01 00:00Z', now()),
    ('read', 'read', null, null),
    ('failed', 'failed', timestamptz '2100-01-01 00:00Z', null)
) kind (name, status, retry_at, parked_at)
"""


def test_open_rows_get_a_contact_and_a_due_time(hosted: embedded.Postgres) -> None:
    """The migrations' login owns the tables, and row-level security binds it too."""
    url = f"postgresql://clinic:clinic@127.0.0.1:{hosted.port}/one"
    with psycopg.connect(hosted.url, autocommit=True) as server:
        server.execute("alter role clinic noinherit")
    files = migrations.available()
    list(migrations.apply(url, [file for file in files if file.name < BEFORE]))
    superuser = hosted.url.rpartition("/")[0] + "/one"
    with psycopg.connect(superuser, autocommit=True, row_factory=dict_row) as connection:
        connection.execute(ROWS)
        assert list(migrations.apply(url))
        rows = connection.execute(
            """select body, contact_id is not null as has_contact, due_at is not null as due,
                   due_at = updated_at as due_since_change from outbox order by id"""
        ).fetchall()
    assert {row["body"]: row["due"] for row in rows} == {
        "queued": True,
        "sending": True,
        "retrying": True,
        "parked": False,
        "read": False,
        "failed": False,
    }
    assert [row["body"] for row in rows if row["has_contact"]] == ["queued", "sending", "retrying", "parked"]
    assert [row["body"] for row in rows if row["due_since_change"]] == ["queued", "sending"]

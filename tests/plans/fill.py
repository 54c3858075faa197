"""A database with many rows of which few are due: half of them of one tenant."""

from typing import LiteralString

CONVERSATIONS = 90_000
IN_FLIGHT = 500
"""Conversations that a live worker has."""
RETRYING = 20_000
"""Replies that wait for a later try."""

TENANT = "00000000-0000-0000-0000-000000000001"
CHANNEL = "10000000-0000-0000-0000-000000000001"
WORKER = 7
"""The live worker. It holds its advisory lock on the connection that has filled the tables."""

# Without the triggers of foreign keys, and with indexes that are built at the end, it takes half the time.
FILL: tuple[LiteralString, ...] = (
    "set session_replication_role = replica",
    "set synchronous_commit = off",
    "set work_mem = '128MB'",
    "set jit = off",
    """create table dropped as
       select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
       where not indisunique and indrelid in (
           select oid from pg_class where relnamespace = 'public'::regnamespace and relname not like 'checkpoint%'
       )""",
    """do $$ declare name text; begin
           for name in select d.name from dropped d loop execute 'drop index ' || name; end loop; end $$""",
    """create function tenant(number bigint) returns uuid language sql immutable as $$
           select ('00000000-0000-0000-0000-' || lpad(to_hex(number), 12, '0'))::uuid $$""",
    "insert into tenants (id, slug, name) select tenant(n), 't' || n, '' from generate_series(1, 20) n",
    """insert into assistant_versions (tenant_id, content_hash, files, debounce, debounce_cap, published_at)
       select tenant(n), 'h' || v, '{}', '2s', '10s', now() from generate_series(1, 20) n, generate_series(1, 5) v""",
    """insert into assistants select tenant_id, max(id), now() from assistant_versions group by 1""",
    """insert into assistant_publications (tenant_id, version_id, published_at)
       select tenant_id, id, now() from assistant_versions order by id""",
    """insert into channels (id, tenant_id, account_sid, address, auth_tokens)
       select ('1' || substr(id::text, 2))::uuid, id, 'AC', 'whatsapp:' || slug, '' from tenants""",
    """create table c as
       select g, gen_random_uuid() as id, gen_random_uuid() as contact, g % 3 = 0 as open,
           tenant(case when g % 2 = 0 then 1 else 2 + g % 19 end) as tenant
       from generate_series(1, 90000) g""",
    """insert into contacts (id, tenant_id, channel_id, address, last_inbound_at)
       select contact, tenant, ('1' || substr(tenant::text, 2))::uuid, 'whatsapp:+55' || g, now() from c""",
    """insert into conversations (id, tenant_id, channel_id, contact_id, version_id, status, debounce, debounce_cap,
           turn, opened_at, wake_at, wake_for, closed_at)
       select id, tenant, ('1' || substr(tenant::text, 2))::uuid, contact,
           1,
           case when open then 'bot' else 'closed' end, '2s', '10s', 1, now() - interval '9 days',
           case when open then now() + interval '1 day' + g * interval '1 s' end, case when open then 'idle' end,
           case when not open then now() - interval '1 day' end
       from c""",
    """insert into inbox (tenant_id, conversation_id, kind, account_sid, provider_sid, body, received_at, turn,
           disposition)
       select tenant, id, 'message', 'AC', 'SM' || g, 'oi', now() - interval '8 days', 1, 'answered' from c""",
    """insert into outbox (tenant_id, conversation_id, contact_id, turn, author, body, status, provider_sid, created_at,
           updated_at)
       select tenant, id, contact, 1, 'assistant', 'oi', 'read', 'SMo' || g, now() - interval '8 days', now() from c""",
    """insert into turns (conversation_id, turn, epoch, tenant_id, version_id, agent, route, attempts, claimed_at,
           finished_at)
       select id, 1, 1, tenant, 1, 'a', '{"to": "a", "why": ""}', 1, now(), now() - (g % 40) * interval '1 day'
       from c""",
    """insert into usage_ledger (conversation_id, turn, epoch, number, tenant_id, model, input_tokens, output_tokens,
           recorded_at)
       select id, 1, 1, 1, tenant, 'm', 100, 10, now() - (g % 40) * interval '1 day' from c""",
    """insert into usage_hours (tenant_id, hour, tokens)
       select tenant(n), date_trunc('hour', now()) - h * interval '1 hour', 1000
       from generate_series(1, 20) n, generate_series(4, 1000) h""",
    "update usage_summed set until = date_trunc('hour', now()) - interval '3 hours'",
    """insert into interrupts (id, tenant_id, conversation_id, turn, kind, payload, created_at, resolved_at)
       select 'i' || g, tenant, id, 1, 'handoff', '{}', now(), case when g % 2000 > 0 then now() end from c""",
    """insert into tool_calls (conversation_id, turn, tool_call_id, tenant_id, name, arguments, result, called_at)
       select id, 1, 'call', tenant, 'book_slot', '{}', '{}', now() from c""",
    """insert into status_callbacks (tenant_id, outbox_id, provider_sid, status, received_at)
       select tenant_id, id, provider_sid, 'read', now() from outbox""",
    """insert into appointments (tenant_id, calendar, starts_at, contact_id, conversation_id, patient, booked_at)
       select tenant, 'sala', now() + g * interval '1 hour', contact, id, '', now() from c""",
    """insert into checkpoints (thread_id, checkpoint_id, checkpoint, tenant_id)
       select id::text, 'c', '{"v": 4, "id": "c", "channel_versions": {"messages": "1"}}', tenant from c""",
    """insert into checkpoint_blobs (thread_id, channel, version, type, blob, tenant_id)
       select id::text, 'messages', '1', 'msgpack', '\\x90', tenant from c""",
    """insert into checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob, tenant_id)
       select id::text, 'c', 't', 0, 'messages', 'msgpack', '\\x90', tenant from c""",
    """insert into knowledge_passages (tenant_id, content_hash, position, path, heading, body, words)
       select tenant(n), 'h' || v, p, '', '', '', to_tsvector('simple', 'palavra ' || p)
       from generate_series(1, 20) n, generate_series(1, 5) v, generate_series(1, 100) p""",
    # A few are due, some are in flight, and more wait for a later time.
    """update conversations set wake_at = now() - interval '1 minute' where id in (
           select id from c where open order by g limit 3)""",
    """update conversations set pending = 1, pending_since = now(), due_at = now() - interval '2 s', owner = 7,
           claimed_at = now(), epoch = 1
       where id in (select id from c where open order by g desc limit 500)""",
    """update outbox set status = 'retrying', due_at = now() + interval '1 hour', provider_sid = null where id in (
           select id from outbox order by id desc limit 20000)""",
    """do $$ declare definition text; begin
           for definition in select d.definition from dropped d loop execute definition; end loop; end $$""",
    "vacuum (analyze)",
    "set session_replication_role = origin",
    "select pg_advisory_lock(7701, 7)",
)

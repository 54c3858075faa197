-- What must go out, in order, once; and what the provider said about it.

-- Statuses only move to a higher rank. A delivery may still arrive after a failure; the reverse is an echo of the past.
create function outbox_rank(status text) returns smallint
    language sql immutable parallel safe
    return case status when 'sent' then 1 when 'failed' then 2 when 'delivered' then 3 when 'read' then 4 else 0 end;

create table outbox (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants,
    conversation_id uuid not null references conversations,
    turn integer not null,
    author text not null check (author in ('assistant', 'operator')),
    body text not null check (length(body) between 1 and 1600),
    status text not null default 'queued' check (
        status in ('queued', 'sending', 'sent', 'delivered', 'read', 'unknown', 'retrying', 'failed')
    ),
    -- The worker sending it or looking it up, how often it was posted, when last, and when to try again.
    owner bigint,
    attempts smallint not null default 0,
    attempted_at timestamptz,
    retry_at timestamptz,
    -- Unknown and given up: an operator must look. Later rows go on.
    parked_at timestamptz,
    provider_sid text unique,
    error_code text,
    created_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 70);
create index outbox_conversation on outbox (conversation_id, id);
create index outbox_open on outbox (conversation_id, id)
    where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null;
call isolate('outbox');

create table status_callbacks (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants,
    outbox_id bigint not null references outbox,
    provider_sid text not null,
    status text not null,
    error_code text not null default '',
    received_at timestamptz not null,
    unique (provider_sid, status, error_code)
);
call isolate('status_callbacks');

-- What was said, by whom, in order: the inbox and the outbox seen as one. There is no third copy.
create view transcript with (security_invoker = true) as
    select conversation_id, received_at as said_at, 'contact' as author, body, disposition as status, turn, id, 0 as side
    from inbox where kind = 'message'
    union all
    select conversation_id, created_at, author, body, status, turn, id, 1 from outbox;
grant select on transcript to recado_app, recado_system;

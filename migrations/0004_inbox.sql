-- What came in, once each.

create table inbox (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants,
    conversation_id uuid not null references conversations,
    kind text not null check (kind in ('message', 'decision', 'timer')),
    -- The provider's ids; only messages have them.
    account_sid text,
    provider_sid text,
    body text not null default '',
    payload jsonb not null default '{}',
    received_at timestamptz not null,
    -- The turn that took it, and what became of it.
    turn integer,
    disposition text check (disposition in ('answered', 'human', 'resolved', 'superseded', 'parked')),
    check ((kind = 'message') = (provider_sid is not null)),
    unique (account_sid, provider_sid)
);
create index inbox_conversation on inbox (conversation_id, id);
create index inbox_waiting on inbox (conversation_id, id) where disposition is null;
call isolate('inbox');

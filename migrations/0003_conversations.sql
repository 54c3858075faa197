-- A conversation is a mailbox with one reader at a time.

create table conversations (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references tenants,
    channel_id uuid not null references channels,
    contact_id uuid not null references contacts,
    -- The version it opened with; null until the tenant has published one.
    version_id bigint references assistant_versions,
    status text not null default 'bot' check (status in ('bot', 'waiting', 'human', 'closed')),
    debounce interval not null default '0',
    debounce_cap interval not null default '0',
    -- Turns committed so far.
    turn integer not null default 0,
    -- Inbox rows without a disposition; since when; and when a turn may take them.
    pending integer not null default 0 check (pending >= 0),
    pending_since timestamptz,
    due_at timestamptz,
    -- The worker running a turn, and the fence: a commit must show the epoch of its claim.
    owner bigint,
    epoch bigint not null default 0,
    claimed_at timestamptz,
    -- Claims since the last commit; the last failure, for operators.
    attempts smallint not null default 0,
    last_error text,
    -- The next timer, if nothing happens before it.
    wake_at timestamptz,
    wake_for text check (wake_for in ('idle', 'handoff_timeout')),
    opened_at timestamptz not null default now(),
    closed_at timestamptz,
    check ((pending = 0) = (due_at is null)),
    check ((wake_at is null) = (wake_for is null))
) with (fillfactor = 70);
create unique index conversations_open on conversations (contact_id) where status <> 'closed';
create index conversations_due on conversations (due_at) where pending > 0;
create index conversations_wake on conversations (wake_at) where wake_at is not null;
call isolate('conversations');

-- A worker is alive while it holds the advisory lock (7701, id) of this database. Ids are never used again.
create table workers (
    id integer generated always as identity primary key,
    host text not null,
    pid integer not null,
    started_at timestamptz not null
);
grant select, insert on workers to recado_system;

create view live_workers as
    select objid::bigint as id
    from pg_locks
    where locktype = 'advisory' and classid = 7701 and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database());
grant select on live_workers to recado_app, recado_system;

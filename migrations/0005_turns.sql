-- Turns: their record, the journal of their tool calls, and the graph's checkpoints.

create table turns (
    conversation_id uuid not null references conversations,
    turn integer not null,
    tenant_id uuid not null references tenants,
    version_id bigint references assistant_versions,
    agent text,
    -- Where the router sent the turn, and why.
    route jsonb,
    -- Model calls of the turn: a list of {model, input_tokens, output_tokens}.
    usage jsonb not null default '[]',
    attempts smallint not null,
    error text,
    claimed_at timestamptz not null,
    finished_at timestamptz not null,
    primary key (conversation_id, turn)
);
call isolate('turns');

create table interrupts (
    -- LangGraph's interrupt id.
    id text primary key,
    tenant_id uuid not null references tenants,
    conversation_id uuid not null references conversations,
    turn integer not null,
    kind text not null check (kind in ('handoff', 'approval')),
    payload jsonb not null,
    created_at timestamptz not null,
    -- Set when a decision enters the inbox, and when the graph has taken it.
    decision jsonb,
    decided_at timestamptz,
    resolved_at timestamptz
);
create index interrupts_pending on interrupts (tenant_id, created_at) where resolved_at is null;
create index interrupts_conversation on interrupts (conversation_id);
call isolate('interrupts');

-- A tool call with side effects: written in the transaction of its effect, so it happened once or not at all.
create table tool_calls (
    conversation_id uuid not null references conversations,
    turn integer not null,
    tool_call_id text not null,
    tenant_id uuid not null references tenants,
    name text not null,
    arguments jsonb not null,
    result jsonb,
    called_at timestamptz not null,
    primary key (conversation_id, turn, tool_call_id)
);
call isolate('tool_calls');

-- LangGraph's own tables, as its Postgres checkpointer makes them (the tests compare), plus the tenant.
create table checkpoint_migrations (v integer primary key);
insert into checkpoint_migrations select generate_series(0, 9);
grant select on checkpoint_migrations to recado_app, recado_system;

create table checkpoints (
    thread_id text not null,
    checkpoint_ns text not null default '',
    checkpoint_id text not null,
    parent_checkpoint_id text,
    type text,
    checkpoint jsonb not null,
    metadata jsonb not null default '{}',
    tenant_id uuid not null default current_tenant(),
    primary key (thread_id, checkpoint_ns, checkpoint_id)
);
create index checkpoints_thread_id_idx on checkpoints (thread_id);
call isolate('checkpoints');

create table checkpoint_blobs (
    thread_id text not null,
    checkpoint_ns text not null default '',
    channel text not null,
    version text not null,
    type text not null,
    blob bytea,
    tenant_id uuid not null default current_tenant(),
    primary key (thread_id, checkpoint_ns, channel, version)
);
create index checkpoint_blobs_thread_id_idx on checkpoint_blobs (thread_id);
call isolate('checkpoint_blobs');

create table checkpoint_writes (
    thread_id text not null,
    checkpoint_ns text not null default '',
    checkpoint_id text not null,
    task_id text not null,
    idx integer not null,
    channel text not null,
    type text,
    blob bytea not null,
    task_path text not null default '',
    tenant_id uuid not null default current_tenant(),
    primary key (thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);
create index checkpoint_writes_thread_id_idx on checkpoint_writes (thread_id);
call isolate('checkpoint_writes');

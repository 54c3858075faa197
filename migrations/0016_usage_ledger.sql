-- What model calls cost: one row for each, written by whatever ends the attempt that made it. Rows are only added.

create table usage_ledger (
    -- No foreign key: what a tenant has used stays when the conversation is erased.
    conversation_id uuid not null,
    -- The turn that the attempt was for, the epoch of its claim, and the number of the call in it. Together they name the
    -- call, so that writing it again changes nothing. Epoch 0: copied from the turn's row.
    turn integer not null,
    epoch bigint not null,
    number integer not null,
    tenant_id uuid not null references tenants,
    -- Null for the router.
    agent text,
    model text not null,
    -- Null where the provider did not count.
    input_tokens bigint,
    output_tokens bigint,
    -- Null where the manifest has no price.
    cost numeric,
    currency text,
    recorded_at timestamptz not null,
    primary key (conversation_id, turn, epoch, number)
);
-- What a tenant has used since a day began, from the index alone.
create index usage_ledger_recorded on usage_ledger (tenant_id, recorded_at) include (input_tokens, output_tokens);
call isolate('usage_ledger');
revoke update, delete on usage_ledger from recado_app;

-- The rows of a JSON list of calls, as turns.usage has them.
create function usage_calls(calls jsonb)
    returns table (
        number integer, agent text, model text, input_tokens bigint, output_tokens bigint, cost numeric, currency text
    )
    language sql immutable
begin atomic
    select ordinality::integer, call ->> 'agent', coalesce(call ->> 'model', ''),
        (call ->> 'input_tokens')::bigint, (call ->> 'output_tokens')::bigint,
        split_part(call ->> 'cost', ' ', 1)::numeric, split_part(call ->> 'cost', ' ', 2)
    from jsonb_array_elements(calls) with ordinality as listed (call, ordinality);
end;

-- The epoch of the claim whose commit wrote the row. 0: the ledger's rows are copied from `usage`. Null: not yet copied.
alter table turns add column epoch bigint;

-- Code of the version before writes only the JSON.
create function copy_usage() returns trigger
    language plpgsql
as $$
begin
    insert into usage_ledger (
        conversation_id, turn, epoch, number, tenant_id, agent, model, input_tokens, output_tokens, cost, currency,
        recorded_at
    )
    select new.conversation_id, new.turn, 0, c.number, new.tenant_id, c.agent, c.model, c.input_tokens, c.output_tokens,
        c.cost, c.currency, new.finished_at
    from usage_calls(new.usage) c
    on conflict do nothing;
    new.epoch := 0;
    return new;
end $$;
create trigger turns_copy_usage before insert on turns
    for each row when (new.epoch is null) execute function copy_usage();

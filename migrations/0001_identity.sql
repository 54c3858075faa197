-- Roles, the isolation rule that every table gets, and who is who: tenants, channels, contacts.

-- Roles belong to the whole cluster, so another database's migration may have made them a moment ago.
do $$
declare
    name text;
begin
    foreach name in array array['recado_app', 'recado_system'] loop
        begin
            execute format('create role %I nologin noinherit', name);
        exception when duplicate_object or unique_violation then
            null;
        end;
    end loop;
    if not (select rolsuper from pg_roles where rolname = current_user) then
        execute format('grant recado_app, recado_system to %I', current_user);
    end if;
end $$;

grant usage on schema public to recado_app, recado_system;

-- The tenant this transaction works for. A setting once made and ended reads as '', not as null.
create function current_tenant() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

-- Row-level security on one table: recado_app sees the rows of current_tenant(), recado_system sees all,
-- and nobody else, the owner included, sees any.
create procedure isolate(target regclass, tenant_column name default 'tenant_id')
    language plpgsql
as $$
begin
    execute format('alter table %s enable row level security', target);
    execute format('alter table %s force row level security', target);
    execute format('create policy one_tenant on %s to recado_app using (%I = current_tenant())', target, tenant_column);
    execute format('create policy all_tenants on %s to recado_system using (true)', target);
    execute format('grant select, insert, update, delete on %s to recado_app, recado_system', target);
end $$;

create table tenants (
    id uuid primary key default gen_random_uuid(),
    slug text not null unique check (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name text not null,
    created_at timestamptz not null default now()
);
call isolate('tenants', 'id');

create table channels (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references tenants,
    account_sid text not null,
    address text not null,
    -- Acceptable tokens, newest first, as JSON under the secret key. Providers sign with one of them.
    auth_tokens bytea not null,
    created_at timestamptz not null default now(),
    unique (account_sid, address)
);
create index channels_address on channels (address);
call isolate('channels');

create table contacts (
    id uuid primary key default gen_random_uuid(),
    tenant_id uuid not null references tenants,
    channel_id uuid not null references channels,
    -- The opaque channel address: it may hold a phone number or a business-scoped user id.
    address text not null check (length(address) <= 200),
    profile_name text,
    last_inbound_at timestamptz not null,
    unique (channel_id, address)
) with (fillfactor = 80);
call isolate('contacts');

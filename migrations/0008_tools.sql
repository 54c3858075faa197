-- Tools of the tenants' own: their secrets. Rules: the contacts' tags. Versions: which was current when.

create table tenant_secrets (
    tenant_id uuid not null references tenants,
    name text not null check (name ~ '^[A-Z][A-Z0-9_]{0,59}$'),
    -- The value as JSON under the secret key.
    sealed bytea not null,
    updated_at timestamptz not null,
    primary key (tenant_id, name)
);
call isolate('tenant_secrets');

alter table contacts add column tags text[] not null default '{}';
-- Which version was current when: a row for each publish and rollback, the newest is the current one.
create table assistant_publications (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants,
    version_id bigint not null references assistant_versions,
    -- Where a rollback from here leads; null for the tenant's first.
    before_id bigint references assistant_publications,
    published_at timestamptz not null
);
create index assistant_publications_tenant on assistant_publications (tenant_id, id);
call isolate('assistant_publications');

-- What is already there: each version as it was first published, then the current one if it is an older one.
set local role recado_system;
insert into assistant_publications (tenant_id, version_id, published_at)
select tenant_id, version_id, at from (
    select tenant_id, id as version_id, published_at as at from assistant_versions
    union all
    select a.tenant_id, a.version_id, a.updated_at
    from assistants a join assistant_versions v on v.id = a.version_id
    where a.updated_at > v.published_at and exists (
        select from assistant_versions newer where newer.tenant_id = a.tenant_id and newer.id > v.id
    )
) published
order by at, version_id;
update assistant_publications p set before_id = (
    select max(id) from assistant_publications b where b.tenant_id = p.tenant_id and b.id < p.id
);
reset role;

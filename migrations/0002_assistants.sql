-- Published versions of the tenants' YAML. A version never changes; which one is current does.

create table assistant_versions (
    id bigint generated always as identity primary key,
    tenant_id uuid not null references tenants,
    content_hash text not null,
    -- File name to text: assistant.yaml and every file it names.
    files jsonb not null,
    debounce interval not null,
    debounce_cap interval not null,
    published_at timestamptz not null,
    unique (tenant_id, content_hash)
);
call isolate('assistant_versions');

create table assistants (
    tenant_id uuid primary key references tenants,
    version_id bigint not null references assistant_versions,
    updated_at timestamptz not null
);
call isolate('assistants');

-- What tenants have written down for their agents, in passages that are searched by their words.

create table knowledge_passages (
    tenant_id uuid not null,
    -- The version that they belong to.
    content_hash text not null,
    position integer not null,
    path text not null,
    heading text not null,
    body text not null,
    words tsvector not null,
    primary key (tenant_id, content_hash, position),
    foreign key (tenant_id, content_hash) references assistant_versions (tenant_id, content_hash)
);
call isolate('knowledge_passages');

-- How long tenants keep what they do not need any more, where it is not the default. The scheduler erases the rest.

create table retention (
    tenant_id uuid not null references tenants,
    kind text not null check (kind in ('conversations', 'callbacks', 'usage')),
    days integer not null check (days > 0),
    primary key (tenant_id, kind)
);
call isolate('retention');

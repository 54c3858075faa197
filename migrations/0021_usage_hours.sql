-- What tenants have used in hours that are over: to count a month's tokens, nobody has to read the ledger of the month.

create table usage_hours (
    tenant_id uuid not null references tenants,
    -- The hour's begin.
    hour timestamptz not null,
    tokens bigint not null,
    primary key (tenant_id, hour)
);
create index usage_hours_hour on usage_hours (hour);
call isolate('usage_hours');
revoke insert, update, delete on usage_hours from recado_app;

-- Until when the hours are summed: one row.
create table usage_summed (
    only_row boolean primary key default true check (only_row),
    until timestamptz not null
);
insert into usage_summed (until) values (date_trunc('hour', now(), 'UTC') - interval '32 days');
grant select on usage_summed to recado_app;
grant select, update on usage_summed to recado_system;

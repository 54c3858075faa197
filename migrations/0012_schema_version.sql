-- Every process reads which migrations are applied, and the oldest code that works with them.

alter table schema_migrations add column oldest_code text;
grant select on schema_migrations to recado_app, recado_system;

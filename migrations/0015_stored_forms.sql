-- The checked form of a version, which workers load instead of its files. Versions from before get it when a worker first
-- reads their files.
alter table assistant_versions add column form text;

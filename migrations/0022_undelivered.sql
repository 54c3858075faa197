-- migration: without transaction
-- Messages that were not delivered. Its columns do not change when a message is delivered and read, so that these
-- updates write no index.
drop index concurrently if exists outbox_with_error;
create index concurrently outbox_with_error on outbox (tenant_id, id) where error_code is not null;

-- migration: without transaction
-- Indexes for what is due, and for foreign keys.

-- Turns whose usage is not yet in the ledger.
drop index concurrently if exists turns_uncopied;
create index concurrently turns_uncopied on turns (tenant_id, finished_at) where epoch is null;

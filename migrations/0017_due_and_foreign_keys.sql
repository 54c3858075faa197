-- migration: without transaction
-- Indexes for what is due, for what is erased, and for foreign keys.

-- Turns whose usage is not yet in the ledger.
drop index concurrently if exists turns_uncopied;
create index concurrently turns_uncopied on turns (tenant_id, finished_at) where epoch is null;

-- Timers that may fire: none does while rows wait.
drop index concurrently if exists conversations_timer;
create index concurrently conversations_timer on conversations (wake_at) where pending = 0 and wake_at is not null;
drop index concurrently if exists conversations_wake;

-- One contact on every number of its tenant.
drop index concurrently if exists contacts_address;
create index concurrently contacts_address on contacts (tenant_id, address);

-- What can be erased, and the open conversations of a version.
drop index concurrently if exists conversations_closed;
create index concurrently conversations_closed on conversations (tenant_id, closed_at) where closed_at is not null;
drop index concurrently if exists conversations_version;
create index concurrently conversations_version on conversations (tenant_id, version_id) where status <> 'closed';
-- Foreign keys: without an index that begins with it, each deletion of a parent reads the whole child table. Tenants,
-- channels and versions are never deleted, so that what the road writes has no index for them.
drop index concurrently if exists status_callbacks_outbox;
create index concurrently status_callbacks_outbox on status_callbacks (outbox_id);
drop index concurrently if exists status_callbacks_received;
create index concurrently status_callbacks_received on status_callbacks (tenant_id, received_at);
drop index concurrently if exists appointments_contact;
create index concurrently appointments_contact on appointments (contact_id);
drop index concurrently if exists appointments_conversation;
create index concurrently appointments_conversation on appointments (conversation_id);
drop index concurrently if exists assistants_version;
create index concurrently assistants_version on assistants (version_id);
drop index concurrently if exists assistant_publications_version;
create index concurrently assistant_publications_version on assistant_publications (version_id);
drop index concurrently if exists assistant_publications_before;
create index concurrently assistant_publications_before on assistant_publications (before_id);
drop index concurrently if exists channels_tenant;
create index concurrently channels_tenant on channels (tenant_id);

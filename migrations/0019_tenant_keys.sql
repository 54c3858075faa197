-- migration: without transaction
-- What a foreign key that names the tenant refers to, so that no row can name another tenant's parent. 0020 has the keys.

-- A concurrent build blocks nobody, so it may wait for older transactions as long as they take.
set lock_timeout = 0;
drop index concurrently if exists channels_of_tenant;
create unique index concurrently channels_of_tenant on channels (tenant_id, id);
drop index concurrently if exists contacts_of_tenant;
create unique index concurrently contacts_of_tenant on contacts (tenant_id, id);
drop index concurrently if exists assistant_versions_of_tenant;
create unique index concurrently assistant_versions_of_tenant on assistant_versions (tenant_id, id);
drop index concurrently if exists assistant_publications_of_tenant;
create unique index concurrently assistant_publications_of_tenant on assistant_publications (tenant_id, id);
drop index concurrently if exists conversations_of_tenant;
create unique index concurrently conversations_of_tenant on conversations (tenant_id, id);
-- For rows that name a conversation with its contact, so that one lookup checks both, and for a contact's conversations.
drop index concurrently if exists conversations_of_contact;
create unique index concurrently conversations_of_contact on conversations (contact_id, tenant_id, id);
drop index concurrently if exists outbox_of_tenant;
create unique index concurrently outbox_of_tenant on outbox (tenant_id, id);

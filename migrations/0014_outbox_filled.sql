-- migration: without transaction, code since 0014
-- Row-level security shows the tables' owner rows only as this role, if its login does not inherit from it.
set role recado_system;
update outbox set contact_id = conversations.contact_id, due_at = coalesce(outbox.due_at, updated_at)
from conversations
where conversations.id = outbox.conversation_id and outbox.status in ('queued', 'sending', 'retrying', 'unknown')
    and parked_at is null and outbox.contact_id is null;
update outbox set contact_id = conversations.contact_id, due_at = null
from conversations
where conversations.id = outbox.conversation_id and outbox.status in ('queued', 'sending', 'retrying', 'unknown')
    and parked_at is not null;
update outbox set due_at = null
where due_at is not null and status not in ('queued', 'sending', 'retrying', 'unknown');
reset role;

-- Rows that were final before have no contact. The constraints are not validated, so that no table is read under a lock.
alter table outbox drop constraint if exists outbox_contact;
alter table outbox add constraint outbox_contact
    check (contact_id is not null or status not in ('queued', 'sending', 'retrying', 'unknown')) not valid;
-- An open row is due or held; a final or parked one is neither.
alter table outbox drop constraint if exists outbox_open_is_due_or_held;
alter table outbox add constraint outbox_open_is_due_or_held check (
    num_nonnulls(due_at, held_for)
    = case when status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null then 1 else 0 end
) not valid;

-- The predicates name no column that status callbacks change.
drop index concurrently if exists outbox_head;
create index concurrently outbox_head on outbox (contact_id, id) where due_at is not null or held_for is not null;
drop index concurrently if exists outbox_due;
create index concurrently outbox_due on outbox (due_at) where due_at is not null;
drop index concurrently if exists outbox_held;
create index concurrently outbox_held on outbox (held_for, id) where held_for is not null;
drop index concurrently if exists channels_check;
create index concurrently channels_check on channels (check_at) where check_at is not null;
drop index concurrently if exists outbox_open;

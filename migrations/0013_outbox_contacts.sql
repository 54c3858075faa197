-- Replies are sent in order for each contact, who sees one thread however many conversations there are. A contact belongs
-- to one channel.

-- A copy of the conversation's contact, whose foreign key holds for both.
alter table outbox add column contact_id uuid;

-- Row-level security shows the tables' owner rows only as this role, if its login does not inherit from it.
set local role recado_system;
update outbox set contact_id = conversations.contact_id
from conversations
where conversations.id = outbox.conversation_id and outbox.status in ('queued', 'sending', 'retrying', 'unknown');
reset role;

-- Rows that were final before this migration have none. Not validated, so that the table is not read under its lock.
alter table outbox add constraint outbox_contact
    check (contact_id is not null or status not in ('queued', 'sending', 'retrying', 'unknown')) not valid;

drop index outbox_open;
create index outbox_open on outbox (contact_id, id)
    where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null;

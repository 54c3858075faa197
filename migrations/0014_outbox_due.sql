-- What is to be sent is found by one due time, so that a sweep costs what is due and not what waits. Channels whose
-- token is refused are suspended, and their rows wait for the channel.

-- When a worker may take the row, or must look whether its owner is still alive.
alter table outbox rename column retry_at to due_at;
-- The suspended channel that the row waits for. Then it is not due at any time.
alter table outbox add column held_for uuid;

-- When the last POST without an answer was over: with its worker, or with its connection. Only a list that Twilio gives
-- some time after it proves that the message is missing.
alter table outbox add column abandoned_at timestamptz;

-- Row-level security shows the tables' owner rows only as this role, if its login does not inherit from it.
set local role recado_system;
update outbox set due_at = coalesce(due_at, updated_at)
where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null;
update outbox set due_at = null
where due_at is not null and (status not in ('queued', 'sending', 'retrying', 'unknown') or parked_at is not null);
reset role;

-- An open row is due or held; a final or parked one is neither. Not validated, so that the table is not read under its lock.
alter table outbox add constraint outbox_open_is_due_or_held check (
    num_nonnulls(due_at, held_for)
    = case when status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null then 1 else 0 end
) not valid;

drop index outbox_open;
-- The predicates name no column that status callbacks change.
create index outbox_open on outbox (contact_id, id) where due_at is not null or held_for is not null;
create index outbox_due on outbox (due_at) where due_at is not null;
create index outbox_held on outbox (held_for, id) where held_for is not null;

alter table channels
    -- Since when and why nothing is sent through it.
    add column suspended_at timestamptz,
    add column suspended_for text,
    -- When to probe a suspended channel, or to release more of the rows that waited for one that is good again.
    add column check_at timestamptz,
    -- Suspensions and failed probes since the channel last sent a message. The pause before a probe grows with it.
    add column refusals smallint not null default 0;
create index channels_check on channels (check_at) where check_at is not null;

-- Seconds by which the provider's clock is ahead of this worker's, as last measured.
alter table workers add column provider_clock_skew real;
grant update (provider_clock_skew) on workers to recado_system;

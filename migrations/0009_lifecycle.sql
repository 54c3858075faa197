-- Silence: a reminder, an end, and an expiry. Ratings. Until when an operator should have answered. What agents keep of
-- a contact. What tenants have used up.

alter table conversations
    drop constraint conversations_wake_for_check,
    add constraint conversations_wake_for_check check (wake_for in ('reminder', 'idle', 'handoff_timeout', 'expire')),
    add column rating smallint check (rating between 1 and 5);

alter table interrupts add column due_at timestamptz;

alter table contacts add column facts text[] not null default '{}';

-- What tenants with limits have used up since a day, or a month, began.
create index turns_finished on turns (tenant_id, finished_at);

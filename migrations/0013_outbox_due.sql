-- migration: code since 0014
-- What is to be sent is found by one due time, so that a sweep costs what is due and not what waits. Replies are sent in
-- order for each contact, who sees one thread however many conversations there are. Channels whose token is refused are
-- suspended, and their rows wait for the channel. 0014 fills the columns.

-- When a worker may take the row, or must look whether its owner is still alive.
alter table outbox rename column retry_at to due_at;
alter table outbox
    -- A copy of the conversation's contact, whose foreign key holds for both. A contact belongs to one channel.
    add column contact_id uuid,
    -- The suspended channel that the row waits for. Then it is not due at any time.
    add column held_for uuid,
    -- When the last POST without an answer was over: with its worker, or with its connection. Only a list that Twilio
    -- gives some time after it proves that the message is missing.
    add column abandoned_at timestamptz;

alter table channels
    -- Since when and why nothing is sent through it.
    add column suspended_at timestamptz,
    add column suspended_for text,
    -- When to probe a suspended channel, or to release more of the rows that waited for one that is good again.
    add column check_at timestamptz,
    -- Suspensions and failed probes since the channel last sent a message. The pause before a probe grows with it.
    add column refusals smallint not null default 0;

-- Seconds by which the provider's clock is ahead of this worker's, as last measured.
alter table workers add column provider_clock_skew real;
grant update (provider_clock_skew) on workers to recado_system;

-- Attempts at a turn that started again because a message arrived: their number, and their model calls.
alter table conversations
    add column folds smallint not null default 0,
    add column folded_usage jsonb;

"""The long statements of a turn: what claims a conversation, and what commits a turn in one go."""

from typing import LiteralString

from langgraph.checkpoint.postgres.base import SELECT_SQL

BATCH = 50
"""Inbox rows that one turn takes."""

# A conversation is to be had when something is due there and no live worker has it. One whose owner lives may be taken
# when the owner's lease is over: that worker hangs, and its commit will meet a higher epoch. So may one that this
# worker has: it runs one turn of a conversation at a time, so an earlier claim was lost with a broken connection.
CLAIM: LiteralString = """
update conversations c set
    owner = %(owner)s, epoch = c.epoch + 1, attempts = least(c.attempts + 1, 1000), claimed_at = %(now)s,
    version_id = coalesce(c.version_id, (select version_id from assistants a where a.tenant_id = c.tenant_id))
-- In a form that no index serves: of thousands of due conversations, this one is found by its key.
where c.id = %(conversation_id)s and coalesce(c.due_at <= %(now)s, false)
    and (
        c.owner is null or c.owner = %(owner)s or c.claimed_at < %(stale)s
        or c.owner not in (select id from live_workers)
    )
"""

# A statement of its own after the claim: one that waited for the row lock has the snapshot from before it waited, and
# would show an inbox and a checkpoint that another worker has since left behind. Read now, under the lock, they are
# the truth. The conversation itself is always shown, claimed or not.
CLAIMED: LiteralString = f"""
select c.id, c.tenant_id, c.channel_id, c.contact_id, c.version_id, c.status, c.turn, c.epoch, c.attempts,
    c.pending, c.due_at, c.wake_for, mine.claimed,
    contacts.address as contact_address, contacts.profile_name as contact_name,
    contacts.tags as contact_tags, contacts.facts as contact_facts,
    (
        select coalesce(jsonb_agg(to_jsonb(i) order by i.id), '[]')
        from (
            select id, kind, provider_sid, body, payload, turn from inbox
            where conversation_id = c.id and disposition is null and mine.claimed
            order by id limit {BATCH}
        ) i
    ) as inbox,
    case when c.status in ('waiting', 'human') then array(
        select id from interrupts where conversation_id = c.id and resolved_at is null
    ) end as interrupts,
    saved.checkpoint_ns, saved.checkpoint_id, saved.parent_checkpoint_id, saved.checkpoint, saved.metadata,
    saved.channel_values, saved.pending_writes
from conversations c
join contacts on contacts.id = c.contact_id
cross join lateral (select c.owner = %(owner)s and c.claimed_at = %(now)s as claimed) mine
left join lateral ({SELECT_SQL} where thread_id = %(thread_id)s) saved on mine.claimed
where c.id = %(conversation_id)s
"""

# LangGraph's tables are keyed by text. A key that is computed from a column, as `id::text`, is not used to search them:
# row-level security shows no row to a function that could tell of it. So the key comes as a parameter.
_CHECKPOINT: LiteralString = """
blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(thread_id)s, b.* from fenced, unnest(
        %(blob_ns)s::text[], %(blob_channels)s::text[], %(blob_versions)s::text[], %(blob_types)s::text[],
        %(blobs)s::bytea[]
    ) b
    on conflict do nothing
),
saved as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
    select %(thread_id)s, k.* from fenced, unnest(
        %(checkpoint_ns)s::text[], %(checkpoint_ids)s::text[], %(checkpoints)s::jsonb[], %(metadata)s::jsonb[]
    ) k
    on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
        set checkpoint = excluded.checkpoint, metadata = excluded.metadata
),
pending_writes as (
    insert into checkpoint_writes (
        thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel, type, blob
    )
    select %(thread_id)s, w.* from fenced, unnest(
        %(write_ns)s::text[], %(write_checkpoints)s::text[], %(write_tasks)s::text[], %(write_indexes)s::int[],
        %(write_paths)s::text[], %(write_channels)s::text[], %(write_types)s::text[], %(writes)s::bytea[]
    ) w
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do update
        set task_path = excluded.task_path, channel = excluded.channel, type = excluded.type, blob = excluded.blob
),
superseded_checkpoints as (
    delete from checkpoints using fenced
    where thread_id = %(thread_id)s and not (checkpoint_id = any(%(kept_ids)s))
),
superseded_writes as (
    delete from checkpoint_writes using fenced
    where thread_id = %(thread_id)s and not (checkpoint_id = any(%(kept_ids)s))
),
superseded_blobs as (
    delete from checkpoint_blobs using fenced
    where thread_id = %(thread_id)s and (checkpoint_ns, channel, version) not in (
        select * from unnest(%(kept_ns)s::text[], %(kept_channels)s::text[], %(kept_versions)s::text[])
    )
)
"""

# The turn goes on: its checkpoint is durable, and its inbox rows are marked as its own.
COMMIT_LEG: LiteralString = f"""
with fenced as (
    update conversations set claimed_at = %(now)s
    where id = %(conversation_id)s and owner = %(owner)s and epoch = %(epoch)s
    returning id, turn
),
{_CHECKPOINT},
taken as (
    update inbox set turn = fenced.turn + 1 from fenced where inbox.id = any(%(inbox_ids)s)
)
select id from fenced
"""

# What every commit does: give the conversation back, and say what became of the inbox rows.
_FENCED: LiteralString = """
fenced as (
    update conversations c set
        turn = c.turn + %(turns)s, attempts = 0, last_error = null,
        owner = null, epoch = c.epoch + 1, claimed_at = null,
        pending = c.pending - %(consumed)s,
        -- What came during the turn waits its own time, and not what was left of the burst before.
        pending_since = case when c.pending > %(consumed)s then %(now)s::timestamptz end,
        due_at = case when c.pending > %(consumed)s then coalesce(
            (
                select least(max(received_at) + c.debounce, min(received_at) + c.debounce_cap) from inbox
                where conversation_id = c.id and disposition is null and not (id = any(%(inbox_ids)s))
                having bool_and(kind = 'message')
            ),
            c.due_at
        ) end,
        -- Somebody who writes while we say goodbye is not sent away.
        status = case when %(status)s = 'closed' and c.pending > %(consumed)s then 'bot' else %(status)s end,
        closed_at = case when %(status)s = 'closed' and c.pending = %(consumed)s then %(now)s::timestamptz end,
        wake_at = case
            when %(keep_timer)s then c.wake_at
            when %(status)s <> 'closed' or c.pending > %(consumed)s then %(wake_at)s::timestamptz
        end,
        wake_for = case
            when %(keep_timer)s then c.wake_for
            when %(status)s <> 'closed' or c.pending > %(consumed)s then %(wake_for)s
        end,
        rating = coalesce(%(rating)s::smallint, c.rating)
    where c.id = %(conversation_id)s and c.owner = %(owner)s and c.epoch = %(epoch)s
        and (c.pending <= %(consumed)s or not %(if_nothing_came)s)
    returning c.id, c.tenant_id, c.turn, c.pending, c.due_at, c.version_id
),
consumed as (
    update inbox set
        disposition = d.disposition,
        turn = case when d.disposition in ('answered', 'resolved', 'parked') then fenced.turn end
    from fenced, unnest(%(inbox_ids)s::bigint[], %(dispositions)s::text[]) d (id, disposition)
    where inbox.id = d.id
)
"""

# No graph ran: a human has the conversation, or the rows came too late.
CONSUME: LiteralString = f"with {_FENCED} select turn, pending, due_at, null::bigint as head_id from fenced"

_RECORD: LiteralString = """
spoken as (
    insert into outbox (
        tenant_id, conversation_id, turn, author, body, status, owner, attempts, attempted_at, created_at, updated_at
    )
    select fenced.tenant_id, fenced.id, fenced.turn, r.author, r.body,
        case when r.number = 1 and head.free then 'sending' else 'queued' end,
        case when r.number = 1 and head.free then %(owner)s::bigint end,
        case when r.number = 1 and head.free then 1 else 0 end,
        case when r.number = 1 and head.free then %(now)s::timestamptz end,
        %(now)s, %(now)s
    from fenced
    -- The first reply goes out with this claim already made, unless an older one must go first.
    cross join lateral (
        select not exists (
            select from outbox o
            where o.conversation_id = fenced.id and o.parked_at is null
                and o.status in ('queued', 'sending', 'retrying', 'unknown')
        ) as free
    ) head
    cross join lateral unnest(%(authors)s::text[], %(bodies)s::text[]) with ordinality r (author, body, number)
    order by r.number
    returning id, status
),
recorded as (
    insert into turns (
        conversation_id, turn, tenant_id, version_id, agent, route, usage, attempts, error, claimed_at, finished_at
    )
    select id, turn, tenant_id, version_id, %(agent)s, %(route)s, %(usage)s, %(attempts)s, %(error)s,
        %(claimed_at)s, %(now)s
    from fenced
),
resolved as (
    update interrupts set resolved_at = %(now)s
    from fenced
    where interrupts.conversation_id = fenced.id and interrupts.resolved_at is null
),
asked as (
    insert into interrupts (id, tenant_id, conversation_id, turn, kind, payload, created_at, due_at)
    select i.id, fenced.tenant_id, fenced.id, fenced.turn, i.kind, i.payload, %(now)s, i.due_at
    from fenced, unnest(
        %(interrupt_ids)s::text[], %(interrupt_kinds)s::text[], %(interrupt_payloads)s::jsonb[],
        %(interrupt_dues)s::timestamptz[]
    ) i (id, kind, payload, due_at)
)
select turn, pending, due_at, (select id from spoken where status = 'sending') as head_id from fenced
"""

COMMIT: LiteralString = f"with {_FENCED}, {_CHECKPOINT}, {_RECORD}"

# The graph did not run to a checkpoint worth keeping: the one before this turn stays.
COMMIT_WITHOUT_CHECKPOINT: LiteralString = f"with {_FENCED}, {_RECORD}"

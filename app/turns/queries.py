"""Claim and commit: the two statements between which a turn runs, and what stands around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from langgraph.checkpoint.postgres.base import SELECT_SQL
from psycopg.types.json import Jsonb

from app.db import Transaction
from graphs.state import Reply, Route, Usage

BATCH = 50
"""Inbox rows that one turn takes."""

# Always returns the conversation as it stands; the claim's columns are null when it was not to be had: nothing waits,
# it is not due yet, or a live worker has it. A conversation with a live owner whose lease is over may be taken, too:
# that worker hangs, and its commit will meet a higher epoch.
CLAIM: LiteralString = f"""
with target as (
    select id, pending, due_at from conversations where id = %(conversation_id)s
),
claimed as (
    update conversations c set
        owner = %(owner)s, epoch = c.epoch + 1, attempts = least(c.attempts + 1, 1000), claimed_at = %(now)s,
        version_id = coalesce(c.version_id, (select version_id from assistants a where a.tenant_id = c.tenant_id))
    where c.id = %(conversation_id)s and c.pending > 0 and c.due_at <= %(now)s
        and (c.owner is null or c.claimed_at < %(stale)s or c.owner not in (select id from live_workers))
    returning c.id, c.tenant_id, c.channel_id, c.contact_id, c.version_id, c.status, c.turn, c.epoch, c.attempts
)
select target.pending, target.due_at,
    claimed.id, claimed.tenant_id, claimed.channel_id, claimed.contact_id, claimed.version_id, claimed.status,
    claimed.turn, claimed.epoch, claimed.attempts,
    contacts.address as contact_address, contacts.profile_name as contact_name,
    (
        select coalesce(jsonb_agg(to_jsonb(i) order by i.id), '[]')
        from (
            select id, kind, provider_sid, body, payload, turn from inbox
            where conversation_id = claimed.id and disposition is null
            order by id limit {BATCH}
        ) i
    ) as inbox,
    saved.checkpoint_ns, saved.checkpoint_id, saved.parent_checkpoint_id, saved.checkpoint, saved.metadata,
    saved.channel_values, saved.pending_writes
from target
left join claimed on claimed.id = target.id
left join contacts on contacts.id = claimed.contact_id
left join lateral ({SELECT_SQL} where thread_id = claimed.id::text) saved on true
"""

_CHECKPOINT: LiteralString = """
blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select fenced.id::text, b.* from fenced, unnest(
        %(blob_ns)s::text[], %(blob_channels)s::text[], %(blob_versions)s::text[], %(blob_types)s::text[],
        %(blobs)s::bytea[]
    ) b
    on conflict do nothing
),
saved as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
    select fenced.id::text, k.* from fenced, unnest(
        %(checkpoint_ns)s::text[], %(checkpoint_ids)s::text[], %(checkpoints)s::jsonb[], %(metadata)s::jsonb[]
    ) k
    on conflict (thread_id, checkpoint_ns, checkpoint_id) do update
        set checkpoint = excluded.checkpoint, metadata = excluded.metadata
),
pending_writes as (
    insert into checkpoint_writes (
        thread_id, checkpoint_ns, checkpoint_id, task_id, idx, task_path, channel, type, blob
    )
    select fenced.id::text, w.* from fenced, unnest(
        %(write_ns)s::text[], %(write_checkpoints)s::text[], %(write_tasks)s::text[], %(write_indexes)s::int[],
        %(write_paths)s::text[], %(write_channels)s::text[], %(write_types)s::text[], %(writes)s::bytea[]
    ) w
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do update
        set task_path = excluded.task_path, channel = excluded.channel, type = excluded.type, blob = excluded.blob
),
superseded_checkpoints as (
    delete from checkpoints using fenced
    where thread_id = fenced.id::text and not (checkpoint_id = any(%(kept_ids)s))
),
superseded_writes as (
    delete from checkpoint_writes using fenced
    where thread_id = fenced.id::text and not (checkpoint_id = any(%(kept_ids)s))
),
superseded_blobs as (
    delete from checkpoint_blobs using fenced
    where thread_id = fenced.id::text and not (version = any(%(kept_versions)s))
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
        pending_since = case when c.pending > %(consumed)s then c.pending_since end,
        due_at = case when c.pending > %(consumed)s then c.due_at end,
        -- Somebody who writes while we say goodbye is not sent away.
        status = case when %(status)s = 'closed' and c.pending > %(consumed)s then 'bot' else %(status)s end,
        closed_at = case when %(status)s = 'closed' and c.pending = %(consumed)s then %(now)s::timestamptz end,
        wake_at = case when %(keep_timer)s then c.wake_at else %(wake_at)s::timestamptz end,
        wake_for = case when %(keep_timer)s then c.wake_for else %(wake_for)s end
    where c.id = %(conversation_id)s and c.owner = %(owner)s and c.epoch = %(epoch)s
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
    insert into interrupts (id, tenant_id, conversation_id, turn, kind, payload, created_at)
    select i.id, fenced.tenant_id, fenced.id, fenced.turn, i.kind, i.payload, %(now)s
    from fenced, unnest(%(interrupt_ids)s::text[], %(interrupt_kinds)s::text[], %(interrupt_payloads)s::jsonb[])
        i (id, kind, payload)
)
select turn, pending, due_at, (select id from spoken where status = 'sending') as head_id from fenced
"""

COMMIT: LiteralString = f"with {_FENCED}, {_CHECKPOINT}, {_RECORD}"

# The graph did not run to a checkpoint worth keeping: the one before this turn stays.
COMMIT_WITHOUT_CHECKPOINT: LiteralString = f"with {_FENCED}, {_RECORD}"


@dataclass(frozen=True)
class InboxItem:
    """A waiting row. `turn` is set when an earlier leg of a turn that goes on has taken it."""

    id: int
    kind: str
    provider_sid: str | None
    body: str
    payload: Mapping[str, Any]
    turn: int | None


@dataclass(frozen=True)
class Claim:
    """A conversation that this worker has, and all that a turn needs."""

    id: UUID
    tenant_id: UUID
    channel_id: UUID
    contact_id: UUID
    contact_address: str
    contact_name: str | None
    version_id: int | None
    status: str
    turn: int
    epoch: int
    attempts: int
    owner: int
    claimed_at: datetime
    inbox: Sequence[InboxItem]
    checkpoints: Sequence[Mapping[str, Any]]

    @property
    def next_turn(self) -> int:
        """The number that this turn will have."""
        return self.turn + 1


@dataclass(frozen=True)
class Unclaimed:
    """Why there was nothing to claim: what waits, and when it is due (None: nothing waits)."""

    pending: int
    due_at: datetime | None


@dataclass(frozen=True)
class Committed:
    """What the commit left. `head_id`: the outbox row that this worker may post at once."""

    turn: int
    pending: int
    due_at: datetime | None
    head_id: int | None


@dataclass(frozen=True)
class Interrupt:
    """A point where the graph waits for an operator."""

    id: str
    kind: str
    payload: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """What a turn produced. Replies are ready for the wire: no longer than the channel allows."""

    replies: Sequence[Reply] = ()
    agent: str | None = None
    route: Route | None = None
    usage: Sequence[Usage] = ()
    error: str | None = None
    interrupts: Sequence[Interrupt] = ()


@dataclass(frozen=True)
class Settlement:
    """What becomes of the conversation. `dispositions`: inbox row to what became of it.

    `wake_at` and `wake_for` are its next timer; `keep_timer` leaves the one it has.
    """

    status: str
    dispositions: Mapping[int, str]
    wake_at: datetime | None = None
    wake_for: str | None = None
    keep_timer: bool = False
    record: Record | None = None
    checkpoint: Mapping[str, Any] | None = field(default=None, repr=False)


async def claim(
    tx: Transaction, conversation_id: UUID, owner: int, now: datetime, stale: datetime
) -> Claim | Unclaimed:
    """Takes the conversation if something is due there and no live worker has it."""
    rows = await tx.all(dict, CLAIM, {"conversation_id": conversation_id, "owner": owner, "now": now, "stale": stale})
    if not rows:
        return Unclaimed(0, None)
    row = rows[0]
    if row["id"] is None:
        return Unclaimed(row["pending"], row["due_at"])
    columns = ("id", "tenant_id", "channel_id", "contact_id", "contact_address", "contact_name", "version_id", "status")
    return Claim(
        **{name: row[name] for name in columns},
        turn=row["turn"],
        epoch=row["epoch"],
        attempts=row["attempts"],
        owner=owner,
        claimed_at=now,
        inbox=[InboxItem(**item) for item in row["inbox"]],
        checkpoints=[saved for saved in rows if saved["checkpoint_id"] is not None],
    )


async def commit_leg(
    tx: Transaction, claim: Claim, checkpoint: Mapping[str, Any], inbox_ids: Sequence[int], now: datetime
) -> bool:
    """Makes a leg durable while the turn goes on; False when another worker has the conversation."""
    row = await tx.one(dict, COMMIT_LEG, {**_fence(claim), **checkpoint, "inbox_ids": list(inbox_ids), "now": now})
    return row is not None


async def commit(tx: Transaction, claim: Claim, settlement: Settlement, now: datetime) -> Committed | None:
    """Ends the turn: everything it did becomes durable at once. None when another worker has the conversation."""
    parameters = {
        **_fence(claim),
        "now": now,
        "turns": 0 if settlement.record is None else 1,
        "consumed": len(settlement.dispositions),
        "inbox_ids": list(settlement.dispositions),
        "dispositions": list(settlement.dispositions.values()),
        "status": settlement.status,
        "wake_at": settlement.wake_at,
        "wake_for": settlement.wake_for,
        "keep_timer": settlement.keep_timer,
    }
    if settlement.record is None:
        return await tx.one(Committed, CONSUME, parameters)
    parameters |= _recorded(settlement.record, claim)
    if settlement.checkpoint is None:
        return await tx.one(Committed, COMMIT_WITHOUT_CHECKPOINT, parameters)
    return await tx.one(Committed, COMMIT, {**parameters, **settlement.checkpoint})


async def release(tx: Transaction, claim: Claim, error: str | None, due_at: datetime, *, forgive: bool) -> None:
    """Gives the conversation back undone, to be taken up again at `due_at`. `forgive`: this was no failed attempt."""
    await tx.run(
        """update conversations set owner = null, claimed_at = null, last_error = %(error)s,
               attempts = case when %(forgive)s then 0 else attempts end,
               due_at = case when pending > 0 then %(due_at)s::timestamptz end
           where id = %(conversation_id)s and owner = %(owner)s and epoch = %(epoch)s""",
        {**_fence(claim), "error": error, "due_at": due_at, "forgive": forgive},
    )


@dataclass(frozen=True)
class Line:
    """Something said while a human had the conversation."""

    id: str
    author: str
    body: str


async def said_meanwhile(tx: Transaction, conversation_id: UUID, before: int) -> list[Line]:
    """What contact and operators said since the graph stopped, up to the inbox row `before`, oldest first."""
    return await tx.all(
        Line,
        """with stopped as (
               select max(created_at) as at from interrupts
               where conversation_id = %(conversation_id)s and resolved_at is null
           ),
           seen as (
               select coalesce(max(id), 0) as id from inbox
               where conversation_id = %(conversation_id)s and disposition in ('answered', 'parked', 'resolved')
           )
           select id, author, body from (
               select provider_sid as id, 'contact' as author, body, received_at as at
               from inbox, seen
               where conversation_id = %(conversation_id)s and kind = 'message'
                   and inbox.id > seen.id and inbox.id < %(before)s
               union all
               select 'outbox-' || id, author, body, created_at from outbox, stopped
               where conversation_id = %(conversation_id)s and author = 'operator' and created_at >= stopped.at
           ) lines
           order by at""",
        {"conversation_id": conversation_id, "before": before},
    )


@dataclass(frozen=True)
class Waiting:
    """A conversation that some worker should take."""

    tenant_id: UUID
    conversation_id: UUID


async def sweep(tx: Transaction, now: datetime, stale: datetime, before: datetime, limit: int) -> list[Waiting]:
    """Conversations with something due and nobody at work. Those due after `before` are left to their nudge."""
    return await tx.all(
        Waiting,
        """with live as materialized (select id from live_workers)
           select tenant_id, id as conversation_id from conversations
           where pending > 0 and due_at <= %(now)s and (
               (owner is null and due_at <= %(before)s)
               or claimed_at < %(stale)s
               or owner not in (select id from live)
           )
           order by due_at limit %(limit)s""",
        {"now": now, "stale": stale, "before": before, "limit": limit},
    )


async def journal_call(
    tx: Transaction, key: Mapping[str, Any], name: str, arguments: Mapping[str, Any], now: datetime
) -> bool:
    """Writes a tool call into the journal; False when it was there."""
    row = await tx.one(
        dict,
        """insert into tool_calls (conversation_id, turn, tool_call_id, tenant_id, name, arguments, called_at)
           values (%(conversation_id)s, %(turn)s, %(tool_call_id)s, %(tenant_id)s, %(name)s, %(arguments)s, %(now)s)
           on conflict do nothing returning 1 as new""",
        {**key, "name": name, "arguments": Jsonb(arguments), "now": now},
    )
    return row is not None


async def journal_result(tx: Transaction, key: Mapping[str, Any], result: Mapping[str, Any]) -> None:
    """Completes the journal's entry."""
    await tx.run(
        """update tool_calls set result = %(result)s
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s""",
        {**key, "result": Jsonb(result)},
    )


async def journaled_result(tx: Transaction, key: Mapping[str, Any]) -> Mapping[str, Any]:
    """The recorded result of a call that already ran."""
    row = await tx.one(
        dict,
        """select result from tool_calls
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s""",
        key,
    )
    assert row is not None, "an entry that was there does not go away"
    result: Mapping[str, Any] = row["result"]
    return result


async def add_worker(tx: Transaction, host: str, pid: int, now: datetime) -> int:
    """A new worker's id, never used before."""
    row = await tx.one(
        dict,
        "insert into workers (host, pid, started_at) values (%(host)s, %(pid)s, %(now)s) returning id",
        {"host": host, "pid": pid, "now": now},
    )
    assert row is not None
    return int(row["id"])


def _fence(claim: Claim) -> dict[str, Any]:
    return {"conversation_id": claim.id, "owner": claim.owner, "epoch": claim.epoch}


def _recorded(record: Record, claim: Claim) -> dict[str, Any]:
    return {
        "authors": [reply["author"] for reply in record.replies],
        "bodies": [reply["body"] for reply in record.replies],
        "agent": record.agent,
        "route": Jsonb(record.route) if record.route else None,
        "usage": Jsonb(list(record.usage)),
        "attempts": claim.attempts,
        "error": record.error,
        "claimed_at": claim.claimed_at,
        "interrupt_ids": [interrupt.id for interrupt in record.interrupts],
        "interrupt_kinds": [interrupt.kind for interrupt in record.interrupts],
        "interrupt_payloads": [Jsonb(interrupt.payload) for interrupt in record.interrupts],
    }

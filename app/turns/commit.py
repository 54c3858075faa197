"""Commit a turn: checkpoint, replies, consumed rows, usage and status, in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from app.conversations.shared_ctes import ASKED, RESOLVED, SPOKEN
from app.db import Transaction
from app.outbox.queries import HEAD_CHECK_AFTER, OWNER_CHECK_AFTER
from app.turns.claim import Claim
from app.turns.usage import INSERT_USAGE
from graphs.state import Reply, Route, Usage


@dataclass(frozen=True)
class Interrupt:
    """A point where the graph waits for an operator. The operator should answer by `due_at`."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    due_at: datetime | None = None


@dataclass(frozen=True)
class TurnRecord:
    """The row of a finished turn, with its replies. No reply is longer than the channel allows."""

    replies: Sequence[Reply] = ()
    agent: str | None = None
    route: Route | None = None
    usage: Sequence[Usage] = ()
    error: str | None = None
    interrupts: Sequence[Interrupt] = ()
    rating: int | None = None


@dataclass(frozen=True)
class Timer:
    """A time at which a timer row enters the inbox, and its kind."""

    at: datetime
    kind: str


@dataclass(frozen=True)
class Settlement:
    """Everything that a commit writes.

    `status` None leaves the status as it is. `dispositions` maps the ids of consumed inbox rows to their disposition.
    `timer` replaces the conversation's timer; `keep_timer` leaves it as it is. Without a `record` no turn is counted.
    """

    status: str | None
    dispositions: Mapping[int, str]
    timer: Timer | None = None
    keep_timer: bool = False
    record: TurnRecord | None = None
    checkpoint: Mapping[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class CommitResult:
    """The conversation after a commit. `head_id` is the outbox row that this worker may post at once."""

    turn: int
    pending: int
    due_at: datetime | None
    head_id: int | None


# The state of a closed conversation is not needed any more: the next message opens another one.
# LangGraph's tables have text keys. A key computed from a column, such as `id::text`, is not looked up in an index:
# row-level security forbids to evaluate the cast before the policy. So the key is passed as a parameter.
_CHECKPOINT: LiteralString = """
blobs as (
    insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
    select %(thread_id)s, b.* from fenced, unnest(
        %(blob_ns)s::text[], %(blob_channels)s::text[], %(blob_versions)s::text[], %(blob_types)s::text[],
        %(blobs)s::bytea[]
    ) b
    where fenced.status <> 'closed'
    on conflict do nothing
),
saved as (
    insert into checkpoints (thread_id, checkpoint_ns, checkpoint_id, checkpoint, metadata)
    select %(thread_id)s, k.* from fenced, unnest(
        %(checkpoint_ns)s::text[], %(checkpoint_ids)s::text[], %(checkpoints)s::jsonb[], %(metadata)s::jsonb[]
    ) k
    where fenced.status <> 'closed'
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
    where fenced.status <> 'closed'
    on conflict (thread_id, checkpoint_ns, checkpoint_id, task_id, idx) do update
        set task_path = excluded.task_path, channel = excluded.channel, type = excluded.type, blob = excluded.blob
),
superseded_checkpoints as (
    delete from checkpoints using fenced
    where thread_id = %(thread_id)s and (fenced.status = 'closed' or not (checkpoint_id = any(%(kept_ids)s)))
),
superseded_writes as (
    delete from checkpoint_writes using fenced
    where thread_id = %(thread_id)s and (fenced.status = 'closed' or not (checkpoint_id = any(%(kept_ids)s)))
),
superseded_blobs as (
    delete from checkpoint_blobs using fenced
    where thread_id = %(thread_id)s and (
        fenced.status = 'closed' or (checkpoint_ns, channel, version) not in (
            select * from unnest(%(kept_ns)s::text[], %(kept_channels)s::text[], %(kept_versions)s::text[])
        )
    )
)
"""

_DROP_CHECKPOINT: LiteralString = """
dropped_checkpoints as (
    delete from checkpoints using fenced where thread_id = %(thread_id)s and fenced.status = 'closed'
),
dropped_writes as (
    delete from checkpoint_writes using fenced where thread_id = %(thread_id)s and fenced.status = 'closed'
),
dropped_blobs as (
    delete from checkpoint_blobs using fenced where thread_id = %(thread_id)s and fenced.status = 'closed'
)
"""

# The turn continues: its checkpoint is durable, and its inbox rows are marked as taken.
COMMIT_LEG: LiteralString = f"""
with fenced as (
    -- A leg is progress: only attempts that end without one count.
    update conversations set claimed_at = %(now)s, attempts = 0
    where id = %(conversation_id)s and owner = %(owner)s and epoch = %(epoch)s
    returning id, turn, status
),
charged as ({INSERT_USAGE}),
{_CHECKPOINT},
taken as (
    update inbox set turn = fenced.turn + 1 from fenced where inbox.id = any(%(inbox_ids)s)
)
select id from fenced
"""

# Part of every commit: release the conversation and write the dispositions of the inbox rows.
_FENCED: LiteralString = f"""
charged as ({INSERT_USAGE}),
fenced as (
    update conversations c set
        turn = c.turn + %(turns)s, attempts = 0, last_error = null,
        owner = null, epoch = c.epoch + 1, claimed_at = null,
        pending = c.pending - %(consumed)s,
        -- Rows that arrived during the turn get a debounce of their own, not the rest of the earlier one.
        pending_since = case when c.pending > %(consumed)s then %(now)s::timestamptz end,
        due_at = case when c.pending > %(consumed)s then coalesce(
            (
                select least(max(received_at) + c.debounce, min(received_at) + c.debounce_cap) from inbox
                where conversation_id = c.id and disposition is null and not (id = any(%(inbox_ids)s))
                having bool_and(kind = 'message')
            ),
            c.due_at
        ) end,
        -- A message that arrived during the goodbye keeps the conversation open.
        status = case
            when %(status)s = 'closed' and c.pending > %(consumed)s then 'bot' else coalesce(%(status)s::text, c.status)
        end,
        closed_at = case
            when %(status)s::text is null then c.closed_at
            when %(status)s = 'closed' and c.pending = %(consumed)s then %(now)s::timestamptz
        end,
        wake_at = case
            when %(keep_timer)s then c.wake_at
            when coalesce(%(status)s, c.status) <> 'closed' or c.pending > %(consumed)s then %(wake_at)s::timestamptz
        end,
        wake_for = case
            when %(keep_timer)s then c.wake_for
            when coalesce(%(status)s, c.status) <> 'closed' or c.pending > %(consumed)s then %(wake_for)s
        end,
        rating = coalesce(%(rating)s::smallint, c.rating),
        folds = case when %(turns)s > 0 then 0 else c.folds end,
        folded_usage = null
    where c.id = %(conversation_id)s and c.owner = %(owner)s and c.epoch = %(epoch)s
        and (c.pending <= %(known)s or not %(unless_new_rows)s)
    returning c.id, c.tenant_id, c.contact_id, c.turn, c.status, c.pending, c.due_at, c.version_id
),
consumed as (
    update inbox set
        disposition = d.disposition,
        turn = case when d.disposition in ('answered', 'resolved', 'parked') then fenced.turn end
    from fenced, unnest(%(inbox_ids)s::bigint[], %(dispositions)s::text[]) d (id, disposition)
    where inbox.id = d.id
)
"""

# No graph ran: a human has the conversation, or the rows are obsolete.
CONSUME: LiteralString = f"with {_FENCED} select turn, pending, due_at, null::bigint as head_id from fenced"

_RECORD: LiteralString = f"""
{SPOKEN},
recorded as (
    insert into turns (
        conversation_id, turn, epoch, tenant_id, version_id, agent, route, usage, attempts, error, claimed_at,
        finished_at
    )
    select id, turn, %(epoch)s, tenant_id, version_id, %(agent)s, %(route)s, %(usage)s, %(attempts)s, %(error)s,
        %(claimed_at)s, %(now)s
    from fenced
),
{RESOLVED},
{ASKED}
select turn, pending, due_at, (select id from spoken where status = 'sending') as head_id from fenced
"""

COMMIT: LiteralString = f"with {_FENCED}, {_CHECKPOINT}, {_RECORD}"

# Keeps the checkpoint from before the turn, unless the conversation is closed.
COMMIT_WITHOUT_CHECKPOINT: LiteralString = f"with {_FENCED}, {_DROP_CHECKPOINT}, {_RECORD}"


async def commit(
    tx: Transaction, claim: Claim, settlement: Settlement, now: datetime, *, unless_new_rows: bool = False
) -> CommitResult | None:
    """End the turn. Return None, and write nothing but its usage, when another worker owns the conversation.

    With `unless_new_rows`, also return None when a row arrived since the claim.
    """
    parameters = _parameters(claim, settlement, now, unless_new_rows=unless_new_rows)
    if settlement.record is None:
        result = await tx.one(CommitResult, CONSUME, parameters)
    elif settlement.checkpoint is None:
        result = await tx.one(CommitResult, COMMIT_WITHOUT_CHECKPOINT, parameters)
    else:
        result = await tx.one(CommitResult, COMMIT, {**parameters, **settlement.checkpoint})
    claim.usage.mark_written()
    return result


def _parameters(claim: Claim, settlement: Settlement, now: datetime, *, unless_new_rows: bool) -> dict[str, Any]:
    record = settlement.record
    parameters = {
        **claim.fence,
        **claim.usage.parameters(now),
        "owner_check": now + OWNER_CHECK_AFTER,
        "head_check": now + HEAD_CHECK_AFTER,
        "turns": 0 if record is None else 1,
        "consumed": len(settlement.dispositions),
        "known": claim.pending,
        "inbox_ids": list(settlement.dispositions),
        "dispositions": list(settlement.dispositions.values()),
        "status": settlement.status,
        "wake_at": settlement.timer.at if settlement.timer else None,
        "wake_for": settlement.timer.kind if settlement.timer else None,
        "keep_timer": settlement.keep_timer,
        "unless_new_rows": unless_new_rows,
        "rating": record.rating if record else None,
    }
    return parameters if record is None else parameters | _record_parameters(record, claim)


def _record_parameters(record: TurnRecord, claim: Claim) -> dict[str, Any]:
    return {
        "resolved_ids": list(claim.interrupts),
        "authors": [reply["author"] for reply in record.replies],
        "bodies": [reply["body"] for reply in record.replies],
        "agent": record.agent,
        "route": Jsonb(record.route) if record.route else None,
        # For code of the version before, which counts the limits by it.
        "usage": Jsonb([*claim.folded_usage, *record.usage]),
        "attempts": claim.attempts,
        "error": record.error,
        "claimed_at": claim.claimed_at,
        "interrupt_ids": [interrupt.id for interrupt in record.interrupts],
        "interrupt_kinds": [interrupt.kind for interrupt in record.interrupts],
        "interrupt_payloads": [Jsonb(interrupt.payload) for interrupt in record.interrupts],
        "interrupt_dues": [interrupt.due_at for interrupt in record.interrupts],
    }


async def commit_leg(
    tx: Transaction, claim: Claim, checkpoint: Mapping[str, Any], inbox_ids: Sequence[int], now: datetime
) -> bool:
    """Make a leg durable while the turn continues. Return False when another worker owns the conversation."""
    parameters = {**claim.fence, **claim.usage.parameters(now), **checkpoint, "inbox_ids": list(inbox_ids)}
    row = await tx.one(dict, COMMIT_LEG, parameters)
    claim.usage.mark_written()
    return row is not None


RELEASE: LiteralString = f"""
with charged as ({INSERT_USAGE})
update conversations set owner = null, claimed_at = null, last_error = %(error)s,
    attempts = case when %(forgive)s then 0 else attempts end,
    folds = folds + case when %(folded)s then 1 else 0 end,
    due_at = case when pending > 0 then %(due_at)s::timestamptz end
where id = %(conversation_id)s and owner = %(owner)s and epoch = %(epoch)s
returning id
"""


async def release(
    tx: Transaction,
    claim: Claim,
    error: str | None,
    now: datetime,
    due_at: datetime,
    *,
    forgive: bool,
    folded: bool = False,
) -> bool:
    """Give up the claim without a turn, to be claimed again at `due_at`. Return False when another worker owns it.

    With `forgive` this attempt does not count. `folded`: it starts again because a message arrived.
    """
    parameters = {**claim.fence, **claim.usage.parameters(now), "error": error, "due_at": due_at}
    row = await tx.one(dict, RELEASE, {**parameters, "forgive": forgive, "folded": folded})
    claim.usage.mark_written()
    return row is not None

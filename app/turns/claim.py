"""Claim a conversation for one turn: the statements, and what they return."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, LiteralString
from uuid import UUID

from langgraph.checkpoint.postgres.base import SELECT_SQL

from app.db import Transaction
from app.turns.usage import UsageLog
from graphs.state import Usage

BATCH = 50
"""The number of inbox rows that one turn takes at most."""


@dataclass(frozen=True)
class InboxItem:
    """A waiting inbox row. `turn` is set once a committed leg of an unfinished turn has taken it."""

    id: int
    kind: str
    provider_sid: str | None
    body: str
    payload: Mapping[str, Any]
    turn: int | None


@dataclass(frozen=True)
class Claim:
    """A conversation that this worker owns, with everything that a turn needs.

    `pending` counts the waiting rows, of which `inbox` has the first, and `pending_since` is when the oldest arrived.
    `last_error` is what ended an earlier attempt. `interrupts` are the ids of its open interrupts. `folds` counts the
    attempts at this turn that started again because a message arrived; `folded_usage` holds the model calls of those
    that ran with code without the usage ledger.
    """

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
    pending: int
    inbox: Sequence[InboxItem]
    interrupts: Sequence[str]
    checkpoints: Sequence[Mapping[str, Any]]
    contact_tags: Sequence[str] = ()
    contact_facts: Sequence[str] = ()
    contact_wrote_at: datetime | None = None
    wake_for: str | None = None
    pending_since: datetime | None = None
    last_error: str | None = None
    folds: int = 0
    folded_usage: Sequence[Usage] = ()

    @property
    def next_turn(self) -> int:
        """The number of the turn that runs under this claim."""
        return self.turn + 1

    @cached_property
    def usage(self) -> UsageLog:
        """The model calls of this attempt that are not yet in the ledger."""
        return UsageLog(self.tenant_id, self.id, self.next_turn, self.epoch, self.folded_usage)

    @property
    def continues_turn(self) -> bool:
        """Whether an earlier claim has committed a leg of this turn."""
        return any(item.turn == self.next_turn for item in self.inbox)

    @property
    def fence(self) -> dict[str, Any]:
        """The SQL parameters that identify this claim. A later claim has a higher epoch."""
        return {"conversation_id": self.id, "thread_id": str(self.id), "owner": self.owner, "epoch": self.epoch}


@dataclass(frozen=True)
class Unclaimed:
    """The conversation is not due, a live worker owns it, or it is a suspect and was not claimed `alone`.

    `due_at` is None when no inbox row waits.
    """

    pending: int
    due_at: datetime | None
    owned: bool
    suspect: bool = False


@dataclass(frozen=True)
class ClaimRequest:
    """A request of the worker `owner`. A claim older than `stale` may be taken from its owner.

    `alone`: the worker runs no other suspect at the same time.
    """

    conversation_id: UUID
    owner: int
    now: datetime
    stale: datetime
    alone: bool = False


# A conversation can be claimed when a row is due and no live worker owns it. It can also be taken from a live worker
# whose lease has ended: that worker hangs, and its commit fails on the higher epoch. A worker may claim its own
# conversation again: it runs one turn of a conversation at a time, so its earlier claim was lost with a connection.
# `coalesce` prevents the due_at index, so that the lookup uses the primary key.
_CLAIMABLE: LiteralString = """
    c.id = %(conversation_id)s and coalesce(c.due_at <= %(now)s, false)
    and (
        c.owner is null or c.owner = %(owner)s or c.claimed_at < %(stale)s
        or c.owner not in (select id from live_workers)
    )
"""

# Workers have died twice in a row while they had this conversation. It may be the one that kills them, or it was there
# by chance. Suspects are run one by one, so that only the guilty one uses up its attempts.
_SUSPECT: LiteralString = """
    coalesce(c.attempts >= 2 and c.owner <> %(owner)s and c.owner not in (select id from live_workers), false)
"""

TAKE_CLAIM: LiteralString = f"""
update conversations c set
    owner = %(owner)s, epoch = c.epoch + 1, attempts = least(c.attempts + 1, 1000), claimed_at = %(now)s,
    version_id = coalesce(c.version_id, (select version_id from assistants a where a.tenant_id = c.tenant_id))
where {_CLAIMABLE} and c.attempts >= %(tried)s and (%(alone)s or not {_SUSPECT})
"""

# Counts a claim whose reading failed, and was rolled back with it.
COUNT_FAILED_CLAIM: LiteralString = f"""
update conversations c set
    attempts = least(c.attempts + 1, 1000), last_error = %(error)s,
    due_at = %(now)s::timestamptz
        + (%(waits)s::float8[])[least(c.attempts + 1, cardinality(%(waits)s::float8[]))] * interval '1 second'
where {_CLAIMABLE} and c.attempts < %(max_attempts)s
returning c.pending, c.due_at, c.owner is not null as owned
"""

# A second statement in the same pipeline. The claim may have waited for the row lock, and then its snapshot shows the
# inbox and the checkpoint from before the wait. This statement has a new snapshot, taken under the lock. It returns
# the conversation whether or not it was claimed.
READ_CLAIM: LiteralString = f"""
select c.id, c.tenant_id, c.channel_id, c.contact_id, c.version_id, c.status, c.turn, c.epoch, c.attempts,
    c.pending, c.pending_since, c.last_error, c.due_at, c.wake_for, c.folds, c.folded_usage,
    c.owner is not null as owned, {_SUSPECT} as suspect, mine.claimed,
    contacts.address as contact_address, contacts.profile_name as contact_name,
    contacts.tags as contact_tags, contacts.facts as contact_facts, contacts.last_inbound_at as contact_wrote_at,
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


async def claim_conversation(tx: Transaction, request: ClaimRequest, *, tried: int | None = None) -> Claim | Unclaimed:
    """Claim the conversation if a row is due and no live worker owns it.

    With `tried`, claim only after so many attempts, without the checkpoints: only to park the turn.
    """
    owner, now = request.owner, request.now
    thread_id = str(request.conversation_id) if tried is None else ""
    parameters = {**vars(request), "thread_id": thread_id, "tried": tried or 0}
    rows = await tx.after(TAKE_CLAIM, dict, READ_CLAIM, parameters)
    if not rows:
        return Unclaimed(0, None, owned=False)
    row = rows[0]
    if not row["claimed"]:
        return Unclaimed(row["pending"], row["due_at"], row["owned"], suspect=row["suspect"])
    return Claim(
        id=row["id"],
        tenant_id=row["tenant_id"],
        channel_id=row["channel_id"],
        contact_id=row["contact_id"],
        contact_address=row["contact_address"],
        contact_name=row["contact_name"],
        version_id=row["version_id"],
        status=row["status"],
        turn=row["turn"],
        epoch=row["epoch"],
        attempts=row["attempts"],
        owner=owner,
        claimed_at=now,
        pending=row["pending"],
        inbox=[InboxItem(**item) for item in row["inbox"]],
        interrupts=row["interrupts"] or [],
        checkpoints=[saved for saved in rows if saved["checkpoint_id"] is not None],
        contact_tags=row["contact_tags"],
        contact_facts=row["contact_facts"],
        contact_wrote_at=row["contact_wrote_at"],
        wake_for=row["wake_for"],
        pending_since=row["pending_since"],
        last_error=row["last_error"],
        folds=row["folds"],
        folded_usage=row["folded_usage"] or (),
    )


async def count_failed_claim(
    tx: Transaction, request: ClaimRequest, error: str, waits: Sequence[float], max_attempts: int
) -> Unclaimed | None:
    """Count an attempt whose claim failed, and wait the next of `waits` (seconds) before another.

    Return None, and write nothing, after `max_attempts`, or when the conversation can no longer be claimed.
    """
    return await tx.one(
        Unclaimed,
        COUNT_FAILED_CLAIM,
        {**vars(request), "error": error, "waits": list(waits), "max_attempts": max_attempts},
    )

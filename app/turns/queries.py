"""Claim and commit, between which a turn runs, and what stands around them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from app.db import Transaction
from app.turns.statements import CLAIM, CLAIMED, COMMIT, COMMIT_LEG, COMMIT_WITHOUT_CHECKPOINT, CONSUME
from graphs.state import Reply, Route, Usage


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
    """A conversation that this worker has, and all that a turn needs. `interrupts`: what it waits for, by id."""

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
    interrupts: Sequence[str]
    checkpoints: Sequence[Mapping[str, Any]]
    contact_tags: Sequence[str] = ()
    contact_facts: Sequence[str] = ()
    wake_for: str | None = None

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
    """A point where the graph waits for an operator, who should answer by `due_at`."""

    id: str
    kind: str
    payload: Mapping[str, Any]
    due_at: datetime | None = None


@dataclass(frozen=True)
class Record:
    """What a turn produced. Replies are ready for the wire: no longer than the channel allows."""

    replies: Sequence[Reply] = ()
    agent: str | None = None
    route: Route | None = None
    usage: Sequence[Usage] = ()
    error: str | None = None
    interrupts: Sequence[Interrupt] = ()
    rating: int | None = None


@dataclass(frozen=True)
class Timer:
    """When to wake the conversation if nothing happens before, and what for."""

    at: datetime
    what: str


@dataclass(frozen=True)
class Settlement:
    """What becomes of the conversation. `dispositions`: inbox row to what became of it.

    `timer` replaces the conversation's timer; `keep_timer` leaves the one it has.
    """

    status: str
    dispositions: Mapping[int, str]
    timer: Timer | None = None
    keep_timer: bool = False
    record: Record | None = None
    checkpoint: Mapping[str, Any] | None = field(default=None, repr=False)


async def claim(
    tx: Transaction, conversation_id: UUID, owner: int, now: datetime, stale: datetime
) -> Claim | Unclaimed:
    """Takes the conversation if something is due there and no live worker has it."""
    parameters = {
        "conversation_id": conversation_id,
        "thread_id": str(conversation_id),
        "owner": owner,
        "now": now,
        "stale": stale,
    }
    rows = await tx.after(CLAIM, dict, CLAIMED, parameters)
    if not rows:
        return Unclaimed(0, None)
    row = rows[0]
    if not row["claimed"]:
        return Unclaimed(row["pending"], row["due_at"])
    columns = ("id", "tenant_id", "channel_id", "contact_id", "contact_address", "contact_name", "version_id", "status")
    return Claim(
        **{name: row[name] for name in columns},
        turn=row["turn"],
        epoch=row["epoch"],
        contact_tags=row["contact_tags"],
        contact_facts=row["contact_facts"],
        wake_for=row["wake_for"],
        attempts=row["attempts"],
        owner=owner,
        claimed_at=now,
        inbox=[InboxItem(**item) for item in row["inbox"]],
        interrupts=row["interrupts"] or [],
        checkpoints=[saved for saved in rows if saved["checkpoint_id"] is not None],
    )


async def commit_leg(
    tx: Transaction, claim: Claim, checkpoint: Mapping[str, Any], inbox_ids: Sequence[int], now: datetime
) -> bool:
    """Makes a leg durable while the turn goes on; False when another worker has the conversation."""
    row = await tx.one(dict, COMMIT_LEG, {**_fence(claim), **checkpoint, "inbox_ids": list(inbox_ids), "now": now})
    return row is not None


async def commit(
    tx: Transaction, claim: Claim, settlement: Settlement, now: datetime, *, if_nothing_came: bool = False
) -> Committed | None:
    """Ends the turn: everything it did becomes durable at once. None when another worker has the conversation.

    `if_nothing_came`: None, too, when something has come that this turn does not consume.
    """
    parameters = {
        **_fence(claim),
        "now": now,
        "turns": 0 if settlement.record is None else 1,
        "consumed": len(settlement.dispositions),
        "inbox_ids": list(settlement.dispositions),
        "dispositions": list(settlement.dispositions.values()),
        "status": settlement.status,
        "wake_at": settlement.timer.at if settlement.timer else None,
        "wake_for": settlement.timer.what if settlement.timer else None,
        "keep_timer": settlement.keep_timer,
        "if_nothing_came": if_nothing_came,
        "rating": settlement.record.rating if settlement.record else None,
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
    payload: Mapping[str, Any]


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
           select id, author, body, payload from (
               select provider_sid as id, 'contact' as author, body, payload, received_at as at
               from inbox, seen
               where conversation_id = %(conversation_id)s and kind = 'message'
                   and inbox.id > seen.id and inbox.id < %(before)s
               union all
               select 'outbox-' || id, author, body, '{}', created_at from outbox, stopped
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


@dataclass(frozen=True)
class Sweep:
    """What a sweep looks for: due by `now`, but not after `left_to_nudges`; claimed before `stale`, by anybody; claimed
    by `owner`, who asks, before `lost`."""

    owner: int
    now: datetime
    left_to_nudges: datetime
    stale: datetime
    lost: datetime
    limit: int


async def sweep(tx: Transaction, sought: Sweep) -> list[Waiting]:
    """Conversations with something due and nobody at work."""
    return await tx.all(
        Waiting,
        """with live as materialized (select id from live_workers)
           select tenant_id, id as conversation_id from conversations
           where pending > 0 and due_at <= %(now)s and (
               (owner is null and due_at <= %(left_to_nudges)s)
               or claimed_at < %(stale)s
               or (owner = %(owner)s and claimed_at < %(lost)s)
               or owner not in (select id from live)
           )
           order by due_at limit %(limit)s""",
        vars(sought),
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


async def journaled_result(tx: Transaction, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The recorded result of a call that is in the journal; None when it was begun and has not ended."""
    row = await tx.one(
        dict,
        """select result from tool_calls
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s""",
        key,
    )
    assert row is not None, "an entry that was there does not go away"
    result: Mapping[str, Any] | None = row["result"]
    return result


async def forget_call(tx: Transaction, key: Mapping[str, Any]) -> None:
    """Takes a call out of the journal that certainly was not made, and may be made again."""
    await tx.run(
        """delete from tool_calls
           where conversation_id = %(conversation_id)s and turn = %(turn)s and tool_call_id = %(tool_call_id)s
               and result is null""",
        key,
    )


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
    return {"conversation_id": claim.id, "thread_id": str(claim.id), "owner": claim.owner, "epoch": claim.epoch}


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
        "interrupt_dues": [interrupt.due_at for interrupt in record.interrupts],
    }

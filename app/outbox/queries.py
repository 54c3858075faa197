"""SQL of the outbox."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from app.channels.base import StatusUpdate
from app.db import Transaction

OWNER_CHECK_AFTER = timedelta(seconds=1)
"""The time after a claim from which sweeps check that the owner is alive. Most rows are settled earlier."""

HEAD_CHECK_AFTER = timedelta(seconds=5)
"""The time from which sweeps look at a row that waits behind another, in case it was forgotten."""


@dataclass(frozen=True)
class OutboxRow:
    """The first open row of a contact, claimed by this worker: `sending` to be posted, `unknown` to be looked up.

    `contact_wrote_at` is when the contact wrote last. `abandoned_at` is when the POST of an unknown row was over,
    although nobody got its answer.
    """

    id: int
    contact_id: UUID
    channel_id: UUID
    recipient: str
    body: str
    attempts: int
    attempted_at: datetime
    created_at: datetime
    status: str
    contact_wrote_at: datetime | None
    abandoned_at: datetime | None = None


# Only the oldest open row of a contact may be claimed: while it is not settled, nothing overtakes it. A contact sees
# one thread, however many conversations there are. A row that waits behind another is taken as soon as it is the
# oldest; its due time only makes a sweep look whether it was forgotten.
_HEAD: LiteralString = """
head as (
    select id, status, due_at, held_for,
        owner = %(owner)s and not (id = any(%(posted)s)) as never_posted,
        (
            owner is null or updated_at < %(stale)s or (owner = %(owner)s and updated_at < %(lost)s)
            or owner not in (select id from live_workers)
        )
        and (status in ('queued', 'sending') or due_at <= %(now)s) as free
    from outbox
    where contact_id = %(contact_id)s and id is distinct from (select id from settled) and %(take_next)s
        and (due_at is not null or held_for is not null)
    order by id limit 1 for update
),
claimed as (
    update outbox o set
        owner = %(owner)s,
        status = case
            when head.status in ('queued', 'retrying') or (head.status = 'sending' and head.never_posted) then 'sending'
            else 'unknown'
        end,
        attempts = o.attempts + case when head.status in ('queued', 'retrying') then 1 else 0 end,
        attempted_at = case
            when head.status in ('queued', 'retrying') or (head.status = 'sending' and head.never_posted) then %(now)s
            else coalesce(o.attempted_at, %(now)s)
        end,
        -- A row of a dead owner was posted before now, if at all.
        abandoned_at = case
            when head.status in ('queued', 'retrying') or (head.status = 'sending' and head.never_posted) then null
            when head.status = 'sending' then %(now)s
            else coalesce(o.abandoned_at, %(now)s)
        end,
        due_at = %(owner_check)s,
        held_for = null,
        updated_at = %(now)s
    from head
    where o.id = head.id and head.free
    returning o.id, o.contact_id, o.body, o.attempts, o.attempted_at, o.created_at, o.status,
        o.abandoned_at
)
"""

_CLAIMED: LiteralString = """
select claimed.*, contacts.channel_id, contacts.address as recipient, contacts.last_inbound_at as contact_wrote_at
from claimed
join contacts on contacts.id = claimed.contact_id
"""

# Rows behind a head that cannot be taken yet are looked at together with it. So a sweep does not find them repeatedly.
CLAIM: LiteralString = f"""
with settled as (select null::bigint as id),
{_HEAD},
postponed as (
    update outbox o set
        due_at = case when head.held_for is null then greatest(head.due_at, %(head_check)s) end,
        held_for = head.held_for
    from head
    where not head.free and o.contact_id = %(contact_id)s and o.id > head.id and o.due_at <= %(now)s
)
{_CLAIMED}
"""

SETTLE_AND_CLAIM_NEXT: LiteralString = f"""
with suspended as (
    -- Locked, so that the channel is not resumed, and its rows released, before this row is held.
    select id from channels where id = %(hold_for)s and suspended_at is not null for share
),
settled as (
    update outbox o set
        status = case when outbox_rank(o.status) > outbox_rank(%(status)s) then o.status else %(status)s end,
        provider_sid = coalesce(o.provider_sid, %(provider_sid)s),
        error_code = coalesce(%(error_code)s, o.error_code),
        attempts = o.attempts - case when %(uncounted)s and o.status = 'sending' then 1 else 0 end,
        abandoned_at = case
            when %(status)s = 'unknown' and o.status = 'sending' then %(now)s::timestamptz else o.abandoned_at
        end,
        due_at = case when outcome.open and outcome.held_for is null then %(due_at)s::timestamptz end,
        held_for = case when outcome.open then outcome.held_for end,
        parked_at = case when %(parked)s then %(now)s::timestamptz end,
        owner = null,
        updated_at = %(now)s
    from (select (select id from suspended) as held_for, outbox_rank(%(status)s) = 0 and not %(parked)s as open) outcome
    -- That Twilio has it is true whoever asks.
    where o.id = %(id)s and (o.owner = %(owner)s or %(provider_sid)s::text is not null)
    returning o.id
),
{_HEAD}
{_CLAIMED}
"""


@dataclass(frozen=True)
class Claimer:
    """The worker that claims a row, and the cut-off times.

    A claim before `stale` may be taken from any worker, one before `lost` from `owner` itself: no task of it holds
    the row. Of its rows, those that are not in `posted` have certainly not been posted.
    """

    owner: int
    now: datetime
    stale: datetime
    lost: datetime | None
    posted: list[int]

    @property
    def parameters(self) -> dict[str, Any]:
        """The SQL parameters of a claim."""
        return {
            **vars(self),
            "owner_check": self.now + OWNER_CHECK_AFTER,
            "head_check": self.now + HEAD_CHECK_AFTER,
        }


async def claim_head(tx: Transaction, contact_id: UUID, claimer: Claimer) -> OutboxRow | None:
    """Claim the oldest open row of a contact, if it is due and no live worker owns it.

    A row found `sending` is returned as `unknown`, unless this worker claimed it and has never posted it.
    """
    parameters = {"contact_id": contact_id, "take_next": True}
    return await tx.one(OutboxRow, CLAIM, parameters | claimer.parameters)


@dataclass(frozen=True)
class SendOutcome:
    """The outcome for a claimed row.

    `due_at` is when to take an open row again. `parked` is an unknown row that is given up until an operator or a
    callback decides. `hold_for` is a channel: while it is suspended the row waits for it. With `uncounted` the attempt
    does not count.
    """

    status: str
    provider_sid: str | None = None
    error_code: str | None = None
    due_at: datetime | None = None
    parked: bool = False
    hold_for: UUID | None = None
    uncounted: bool = False

    @property
    def final(self) -> bool:
        """Whether the next row may be sent."""
        return self.parked or self.status in ("sent", "failed")

    def again_at_once(self, now: datetime) -> bool:
        """Return whether this worker should post the row again now."""
        return self.status == "retrying" and not self.uncounted and self.due_at is not None and self.due_at <= now


async def settle(tx: Transaction, row: OutboxRow, settlement: SendOutcome, claimer: Claimer) -> OutboxRow | None:
    """Write the outcome of a claimed row, and claim the next row if it may be sent.

    A later status from a callback is not overwritten.
    """
    return await tx.one(
        OutboxRow,
        SETTLE_AND_CLAIM_NEXT,
        {
            "contact_id": row.contact_id,
            "id": row.id,
            "take_next": settlement.final,
            **vars(settlement),
            **claimer.parameters,
        },
    )


async def renew(tx: Transaction, row_id: int, owner: int, now: datetime) -> bool:
    """Renew the claim of a row that has waited. Return False when this worker no longer owns it."""
    row = await tx.one(
        dict,
        """update outbox set attempted_at = %(now)s, updated_at = %(now)s
           where id = %(id)s and owner = %(owner)s and status = 'sending' returning id""",
        {"id": row_id, "owner": owner, "now": now},
    )
    return row is not None


async def rows_of_sids(tx: Transaction, provider_sids: list[str]) -> dict[str, int]:
    """Return the row of each of the provider's ids that belongs to one, by an answer, a look-up or a callback."""
    rows = await tx.all(
        dict,
        """select provider_sid, outbox_id as row_id, 1 as precedence from status_callbacks
           where provider_sid = any(%(sids)s)
           union
           select provider_sid, id, 2 from outbox where provider_sid = any(%(sids)s)
           order by precedence""",
        {"sids": provider_sids},
    )
    return {row["provider_sid"]: row["row_id"] for row in rows}


@dataclass(frozen=True)
class UnsentContact:
    """A contact that has a row to take."""

    tenant_id: UUID
    contact_id: UUID


@dataclass(frozen=True)
class InHand:
    """What this worker works on: conversations whose turn may be claiming a row, and contacts whose rows it sends."""

    turns: list[UUID]
    drains: list[UUID]


SWEEP: LiteralString = """
with live as materialized (select id from live_workers)
select tenant_id, contact_id from outbox
where due_at <= %(now)s
    and (
        owner is null
        or owner not in (select id from live)
        or updated_at < %(stale)s
        or (owner = %(owner)s and updated_at < %(lost)s and not (conversation_id = any(%(turns)s)))
    )
    and not (contact_id = any(%(drains)s))
order by due_at limit %(limit)s
"""


async def sweep(tx: Transaction, claimer: Claimer, in_hand: InHand, limit: int) -> list[UnsentContact]:
    """Return the contacts of rows that are due and not owned, longest due first. A contact may occur repeatedly."""
    return await tx.all(UnsentContact, SWEEP, {**claimer.parameters, **vars(in_hand), "limit": limit})


async def release_held(tx: Transaction, channel_id: UUID, now: datetime, limit: int) -> int:
    """Make the oldest rows that wait for a channel due now. Return their number."""
    rows = await tx.all(
        dict,
        # A subselect with a limit and a lock may be run again for each row, and then update more than the limit.
        """with oldest as (
               select id from outbox where held_for = %(channel_id)s order by id limit %(limit)s for update
           )
           update outbox o set due_at = %(now)s, held_for = null from oldest where o.id = oldest.id returning o.id""",
        {"channel_id": channel_id, "now": now, "limit": limit},
    )
    return len(rows)


APPLY_STATUS: LiteralString = """
with row as (
    select id, contact_id, due_at is not null or held_for is not null as open from outbox
    where id = %(outbox_id)s and tenant_id = %(tenant_id)s
),
stored as (
    insert into status_callbacks (tenant_id, outbox_id, provider_sid, status, error_code, received_at)
    select %(tenant_id)s, id, %(provider_sid)s, %(status)s, %(error_code)s, %(now)s from row
    on conflict do nothing
),
moved as (
    update outbox o set
        status = %(status)s,
        -- A look-up may have given the sid to a row with the same text: then that one keeps it.
        provider_sid = coalesce(o.provider_sid, (
            select %(provider_sid)s::text
            where not exists (select from outbox where provider_sid = %(provider_sid)s)
        )),
        error_code = nullif(%(error_code)s, ''),
        owner = null, due_at = null, held_for = null, parked_at = null,
        updated_at = %(now)s
    from row
    where o.id = row.id and outbox_rank(%(status)s) > outbox_rank(o.status)
        and coalesce(o.provider_sid, %(provider_sid)s) = %(provider_sid)s
    returning row.id, row.contact_id
),
-- The row behind one that was open has become the oldest.
following as (
    update outbox set due_at = %(now)s, held_for = null
    where owner is null and id = (
        select o.id from outbox o, moved
        where o.contact_id = moved.contact_id and o.id > moved.id
            and (o.due_at is not null or o.held_for is not null)
            and (select open from row)
        order by o.id limit 1
    ) and status = 'queued'
)
select id from row
"""


async def apply_status(tx: Transaction, tenant_id: UUID, update: StatusUpdate, now: datetime) -> bool:
    """Store a callback once and move its row's status forward. Return False when the tenant has no such row.

    The callback carries the row's id, so an unknown row gets its provider's id.
    """
    row = await tx.one(
        dict,
        APPLY_STATUS,
        {
            "tenant_id": tenant_id,
            "outbox_id": update.outbox_id,
            "provider_sid": update.provider_sid,
            "status": update.status,
            "error_code": update.error_code,
            "now": now,
        },
    )
    return row is not None

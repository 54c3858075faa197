"""SQL of the outbox."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from app.channels.base import StatusUpdate
from app.db import Transaction


@dataclass(frozen=True)
class OutboxRow:
    """The first open row of a contact, claimed by this worker: `sending` to be posted, `unknown` to be looked up."""

    id: int
    contact_id: UUID
    channel_id: UUID
    recipient: str
    body: str
    attempts: int
    attempted_at: datetime
    created_at: datetime
    status: str


# Only the oldest open row of a contact may be claimed: while it is not settled, nothing overtakes it. A contact sees
# one thread, however many conversations there are.
_CLAIM_HEAD: LiteralString = """
head as (
    select id, status, owner = %(owner)s and not (id = any(%(posted)s)) as never_posted from outbox
    where contact_id = %(contact_id)s and id is distinct from %(id)s and %(take_next)s
        and status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null
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
        updated_at = %(now)s
    from head
    where o.id = head.id
        and (
            o.owner is null or o.updated_at < %(stale)s or (o.owner = %(owner)s and o.updated_at < %(lost)s)
            or o.owner not in (select id from live_workers)
        )
        and (head.status = 'sending' or o.retry_at is null or o.retry_at <= %(now)s)
    returning o.id, o.contact_id, o.body, o.attempts, o.attempted_at, o.created_at, o.status
)
select claimed.*, contacts.channel_id, contacts.address as recipient
from claimed
join contacts on contacts.id = claimed.contact_id
"""

CLAIM: LiteralString = f"with {_CLAIM_HEAD}"

SETTLE_AND_CLAIM_NEXT: LiteralString = f"""
with settled as (
    update outbox set
        status = case when outbox_rank(status) > outbox_rank(%(status)s) then status else %(status)s end,
        provider_sid = coalesce(provider_sid, %(provider_sid)s),
        error_code = coalesce(%(error_code)s, error_code),
        retry_at = %(retry_at)s,
        parked_at = case when %(parked)s then %(now)s::timestamptz end,
        owner = null,
        updated_at = %(now)s
    -- That Twilio has it is true whoever asks.
    where id = %(id)s and (owner = %(owner)s or %(provider_sid)s::text is not null)
),
{_CLAIM_HEAD}
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


async def claim_head(tx: Transaction, contact_id: UUID, claimer: Claimer) -> OutboxRow | None:
    """Claim the oldest open row of a contact, if it is due and no live worker owns it.

    A row found `sending` is returned as `unknown`, unless this worker claimed it and has never posted it.
    """
    parameters = {"contact_id": contact_id, "id": None, "take_next": True}
    return await tx.one(OutboxRow, CLAIM, parameters | vars(claimer))


@dataclass(frozen=True)
class SendOutcome:
    """The outcome for a claimed row.

    `parked` is an unknown row that is given up until an operator or a callback decides.
    """

    status: str
    provider_sid: str | None = None
    error_code: str | None = None
    retry_at: datetime | None = None
    parked: bool = False

    @property
    def final(self) -> bool:
        """Whether the next row may be sent."""
        return self.parked or self.status in ("sent", "failed")


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
            **vars(claimer),
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


async def sweep(
    tx: Transaction, claimer: Claimer, before: datetime, in_hand: InHand, limit: int
) -> list[UnsentContact]:
    """Return contacts whose oldest open row is due and not owned. Rows changed after `before` are left out."""
    return await tx.all(
        UnsentContact,
        """with live as materialized (select id from live_workers),
           heads as (
               select distinct on (contact_id)
                   tenant_id, contact_id, conversation_id, status, owner, retry_at, updated_at
               from outbox
               where status in ('queued', 'sending', 'retrying', 'unknown') and parked_at is null
               order by contact_id, id
           )
           select tenant_id, contact_id from heads
           where (
                   (owner is null and updated_at < %(before)s)
                   or owner not in (select id from live)
                   or updated_at < %(stale)s
                   or (owner = %(owner)s and updated_at < %(lost)s
                       and not (conversation_id = any(%(turns)s) or contact_id = any(%(drains)s)))
               )
               and (status = 'sending' or retry_at is null or retry_at <= %(now)s)
           order by updated_at limit %(limit)s""",
        {**vars(claimer), "before": before, **vars(in_hand), "limit": limit},
    )


async def apply_status(tx: Transaction, tenant_id: UUID, update: StatusUpdate, now: datetime) -> bool:
    """Store a callback once and move its row's status forward. Return False when the tenant has no such row.

    The callback carries the row's id, so an unknown row gets its provider's id.
    """
    row = await tx.one(
        dict,
        """with row as (select id from outbox where id = %(outbox_id)s and tenant_id = %(tenant_id)s),
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
                   owner = null, retry_at = null, parked_at = null,
                   updated_at = %(now)s
               from row
               where o.id = row.id and outbox_rank(%(status)s) > outbox_rank(o.status)
                   and coalesce(o.provider_sid, %(provider_sid)s) = %(provider_sid)s
           )
           select id from row""",
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

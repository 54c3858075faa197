"""SQL that erases what is not needed any more, in small batches, and everything of one contact."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from app.db import Transaction

# Rows of closed conversations, in one statement: foreign keys are checked at its end. `gone` has the conversations.
# Their states that were set aside are named by the epoch of a claim. The usage ledger stays. Threads are looked up as
# an array: a join with so uncertain a number of them would read the tables as a whole.
_ERASE: LiteralString = """
threads as (
    select id::text as thread_id from gone
    union all
    select id || ':aside:' || epochs from gone cross join generate_series(1, epoch) epochs
),
blobs as (delete from checkpoint_blobs where thread_id = any(array(select thread_id from threads))),
writes as (delete from checkpoint_writes where thread_id = any(array(select thread_id from threads))),
checkpointed as (delete from checkpoints where thread_id = any(array(select thread_id from threads))),
called_back as (
    delete from status_callbacks t using gone join outbox o on o.conversation_id = gone.id where t.outbox_id = o.id
),
sent as (delete from outbox t using gone where t.conversation_id = gone.id),
received as (delete from inbox t using gone where t.conversation_id = gone.id),
taken as (delete from turns t using gone where t.conversation_id = gone.id),
called as (delete from tool_calls t using gone where t.conversation_id = gone.id),
asked as (delete from interrupts t using gone where t.conversation_id = gone.id),
booked as (delete from appointments t using gone where t.conversation_id = gone.id),
closed as (delete from conversations t using gone where t.id = gone.id)
"""

# The tenants with the time before which they keep nothing of a kind.
_CUTS: LiteralString = """
cuts as (
    select t.id as tenant_id,
        %(now)s::timestamptz - make_interval(days => coalesce(r.days, %(days)s)) as before
    from tenants t left join retention r on r.tenant_id = t.id and r.kind = %(kind)s
)
"""

ERASE_CONVERSATIONS: LiteralString = f"""
with {_CUTS},
gone as materialized (
    select old.id, old.contact_id, old.epoch, cuts.before
    from cuts cross join lateral (
        select c.id, c.contact_id, c.epoch from conversations c
        where c.tenant_id = cuts.tenant_id and c.closed_at < cuts.before and c.pending = 0
            -- What is still sent, or lies ahead, is kept.
            and not exists (
                select from outbox o where o.conversation_id = c.id and (o.due_at is not null or o.held_for is not null)
            )
            and not exists (select from appointments a where a.conversation_id = c.id and a.starts_at >= cuts.before)
        order by c.closed_at limit %(limit)s for update skip locked
    ) old
    limit %(limit)s
),
{_ERASE},
forgotten as (
    delete from contacts t using gone
    where t.id = gone.contact_id and t.last_inbound_at < gone.before and not exists (
        select from conversations c where c.contact_id = t.id and c.id not in (select id from gone)
    )
)
select id from gone
"""

ERASE_CALLBACKS: LiteralString = f"""
with {_CUTS},
gone as materialized (
    select old.id from cuts cross join lateral (
        select s.id from status_callbacks s where s.tenant_id = cuts.tenant_id and s.received_at < cuts.before
        order by s.received_at limit %(limit)s for update skip locked
    ) old
    limit %(limit)s
)
delete from status_callbacks t using gone where t.id = gone.id returning t.id
"""

ERASE_USAGE: LiteralString = f"""
with {_CUTS},
gone as materialized (
    select old.* from cuts cross join lateral (
        select l.conversation_id, l.turn, l.epoch, l.number from usage_ledger l
        where l.tenant_id = cuts.tenant_id and l.recorded_at < cuts.before
            -- What is not summed by hours is still counted.
            and l.recorded_at < coalesce((select until from usage_summed), 'infinity')
        order by l.recorded_at limit %(limit)s for update skip locked
    ) old
    limit %(limit)s
)
delete from usage_ledger t using gone
where t.conversation_id = gone.conversation_id and t.turn = gone.turn and t.epoch = gone.epoch
    and t.number = gone.number
returning t.number
"""

# The locks of an erasure, one after another: each statement sees what those wrote that held its lock before. A message
# that arrives, and a callback, take them in the same order.
LOCK_CONTACT: tuple[LiteralString, ...] = (
    "select id from contacts where tenant_id = %(tenant_id)s and address = any(%(addresses)s) for update",
    """select c.id from conversations c join contacts k on k.id = c.contact_id
       where k.tenant_id = %(tenant_id)s and k.address = any(%(addresses)s) order by c.id for update of c""",
    """select o.id from outbox o
       join conversations c on c.id = o.conversation_id join contacts k on k.id = c.contact_id
       where k.tenant_id = %(tenant_id)s and k.address = any(%(addresses)s) order by o.id for update of o""",
)

# A worker that runs a turn of the contact finds no conversation to commit to.
ERASE_CONTACT: LiteralString = f"""
with known as materialized (
    select id from contacts where tenant_id = %(tenant_id)s and address = any(%(addresses)s) for update
),
gone as materialized (
    select c.id, c.epoch, gen_random_uuid() as nobody from conversations c
    where c.contact_id in (select id from known) for update
),
{_ERASE},
-- Logs name conversations by their ids.
charged as (update usage_ledger t set conversation_id = gone.nobody from gone where t.conversation_id = gone.id),
booked_elsewhere as (delete from appointments t using known where t.contact_id = known.id),
forgotten as (delete from contacts t using known where t.id = known.id)
select (select count(*) from known) as contacts, (select count(*) from gone) as conversations
"""


@dataclass(frozen=True)
class Erased:
    """How much was erased of a contact: its records, one for each number of the tenant, and its conversations."""

    contacts: int
    conversations: int


async def erase_old(tx: Transaction, statement: LiteralString, kind: str, days: int, now: datetime, limit: int) -> int:
    """Erase a batch of what tenants keep `days` at most, or as long as they have set. Return the number of rows."""
    return len(await tx.all(dict, statement, {"kind": kind, "days": days, "now": now, "limit": limit}))


async def erase_contact(tx: Transaction, tenant_id: UUID, addresses: Sequence[str]) -> Erased:
    """Erase everything of a contact on all numbers of the tenant. What the tenant has used stays, without its name.

    Needs a transaction of several statements.
    """
    parameters = {"tenant_id": tenant_id, "addresses": list(addresses)}
    for statement in LOCK_CONTACT:
        await tx.run(statement, parameters)
    row = await tx.one(Erased, ERASE_CONTACT, parameters)
    assert row is not None
    return row


@dataclass(frozen=True)
class RetentionRow:
    """How many days a tenant keeps rows of a kind."""

    kind: str
    days: int


async def settings(tx: Transaction, tenant_id: UUID) -> list[RetentionRow]:
    """Return what the tenant has set."""
    return await tx.all(
        RetentionRow, "select kind, days from retention where tenant_id = %(tenant_id)s", {"tenant_id": tenant_id}
    )


async def set_days(tx: Transaction, tenant_id: UUID, kind: str, days: int) -> None:
    """Set how many days a tenant keeps rows of a kind."""
    await tx.run(
        """insert into retention (tenant_id, kind, days) values (%(tenant_id)s, %(kind)s, %(days)s)
           on conflict (tenant_id, kind) do update set days = excluded.days""",
        {"tenant_id": tenant_id, "kind": kind, "days": days},
    )

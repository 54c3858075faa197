"""SQL of conversations and their interrupts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from app.db import Transaction


@dataclass(frozen=True)
class PendingInterrupt:
    """An interrupt that waits for an operator. `contact_wrote_at` is when the contact wrote last."""

    id: str
    tenant_id: UUID
    tenant: str
    conversation_id: UUID
    kind: str
    payload: Mapping[str, Any]
    created_at: datetime
    contact: str
    decided: bool
    due_at: datetime | None
    version_id: int | None
    contact_wrote_at: datetime | None


PENDING = """
    select i.id, i.tenant_id, t.slug as tenant, i.conversation_id, i.kind, i.payload, i.created_at,
        coalesce(k.profile_name, k.address) as contact, i.decision is not null as decided,
        i.due_at, c.version_id, k.last_inbound_at as contact_wrote_at
    from interrupts i
    join tenants t on t.id = i.tenant_id
    join conversations c on c.id = i.conversation_id
    join contacts k on k.id = c.contact_id
    where i.resolved_at is null
"""


async def pending_interrupts(tx: Transaction, tenant_id: UUID | None) -> list[PendingInterrupt]:
    """Return the open interrupts of a tenant, or of all, oldest first."""
    return await tx.all(
        PendingInterrupt,
        PENDING + " and (%(tenant_id)s::uuid is null or i.tenant_id = %(tenant_id)s) order by i.created_at",
        {"tenant_id": tenant_id},
    )


async def pending_interrupt(tx: Transaction, interrupt_id: str) -> PendingInterrupt | None:
    """Return an open interrupt, or None."""
    return await tx.one(PendingInterrupt, PENDING + " and i.id = %(id)s", {"id": interrupt_id})


async def tag_contact(
    tx: Transaction, tenant_id: UUID, addresses: Sequence[str], add: list[str], remove: list[str]
) -> list[str] | None:
    """Change a contact's tags on every number of the tenant, and return them. None for unknown addresses."""
    row = await tx.one(
        dict,
        """with changed as (
               update contacts set tags = array(
                   select distinct tag from unnest(tags || %(add)s::text[]) tag
                   where not (tag = any(%(remove)s::text[])) order by tag
               )
               where tenant_id = %(tenant_id)s and address = any(%(addresses)s)
               returning tags
           )
           select tags from changed limit 1""",
        {"tenant_id": tenant_id, "addresses": list(addresses), "add": add, "remove": remove},
    )
    return list(row["tags"]) if row else None


async def facts_of(tx: Transaction, tenant_id: UUID, addresses: Sequence[str]) -> list[str] | None:
    """Return the facts of a contact on all numbers of the tenant. None for unknown addresses."""
    row = await tx.one(
        dict,
        """select array_agg(fact) filter (where fact is not null) as facts, count(*) as contacts
           from contacts left join unnest(facts) fact on true
           where tenant_id = %(tenant_id)s and address = any(%(addresses)s)""",
        {"tenant_id": tenant_id, "addresses": list(addresses)},
    )
    assert row is not None
    return list(row["facts"] or ()) if row["contacts"] else None


async def forget_facts(tx: Transaction, tenant_id: UUID, addresses: Sequence[str]) -> None:
    """Delete the facts of a contact on all numbers of the tenant."""
    await tx.run(
        "update contacts set facts = '{}' where tenant_id = %(tenant_id)s and address = any(%(addresses)s)",
        {"tenant_id": tenant_id, "addresses": list(addresses)},
    )


@dataclass(frozen=True)
class VersionOfConversation:
    """The version that a conversation opened with. None: it has none yet."""

    tenant_id: UUID
    version_id: int | None


async def version_of(tx: Transaction, conversation_id: UUID) -> VersionOfConversation | None:
    """Return the version of a conversation."""
    return await tx.one(
        VersionOfConversation,
        "select tenant_id, version_id from conversations where id = %(id)s",
        {"id": conversation_id},
    )


@dataclass(frozen=True)
class Undelivered:
    """A message that the contact did not get. `parked`: it may have it, and nobody could find out."""

    tenant: str
    contact: str
    conversation_id: UUID
    author: str
    body: str
    error_code: str | None
    created_at: datetime
    parked: bool


async def undelivered(tx: Transaction, tenant_id: UUID, since: datetime, limit: int) -> list[Undelivered]:
    """Return the tenant's newest messages that were not delivered, newest first."""
    return await tx.all(
        Undelivered,
        """select t.slug as tenant, coalesce(k.profile_name, k.address) as contact, o.conversation_id, o.author, o.body,
               o.error_code, o.created_at, o.parked_at is not null as parked
           from outbox o join tenants t on t.id = o.tenant_id join contacts k on k.id = o.contact_id
           where o.tenant_id = %(tenant_id)s and o.error_code is not null
               and (o.status = 'failed' or o.parked_at is not null) and o.created_at > %(since)s
           order by o.id desc limit %(limit)s""",
        {"tenant_id": tenant_id, "since": since, "limit": limit},
    )


@dataclass(frozen=True)
class ReplyTarget:
    """A conversation that an operator would write to."""

    status: str
    contact_wrote_at: datetime | None


async def reply_target(tx: Transaction, conversation_id: UUID) -> ReplyTarget | None:
    """Return the conversation, or None."""
    return await tx.one(
        ReplyTarget,
        """select c.status, k.last_inbound_at as contact_wrote_at
           from conversations c join contacts k on k.id = c.contact_id where c.id = %(id)s""",
        {"id": conversation_id},
    )

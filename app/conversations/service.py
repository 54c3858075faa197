"""Conversations as operators see them."""

from datetime import datetime, timedelta

from app.conversations import queries
from app.conversations.queries import PendingInterrupt, Undelivered
from app.db import Database
from app.errors import NotFoundError
from app.identity import contacts
from app.identity import service as identity

UNDELIVERED_SINCE = timedelta(days=7)
MOST_UNDELIVERED = 100


async def pending_interrupts(system: Database, tenant: str | None) -> list[PendingInterrupt]:
    """Return the open interrupts of a tenant, by slug, or of all. Raises NotFoundError."""
    tenant_id = None if tenant is None else (await identity.tenant(system, tenant)).id
    async with system.statement() as tx:
        return await queries.pending_interrupts(tx, tenant_id)


async def undelivered(system: Database, tenant: str, now: datetime) -> list[Undelivered]:
    """Return the messages of the last days that the tenant's contacts did not get, newest first.

    Raises NotFoundError.
    """
    tenant_id = (await identity.tenant(system, tenant)).id
    async with system.statement() as tx:
        return await queries.undelivered(tx, tenant_id, now - UNDELIVERED_SINCE, MOST_UNDELIVERED)


async def pending_interrupt(system: Database, interrupt_id: str) -> PendingInterrupt:
    """Return an open interrupt. Raises NotFoundError."""
    async with system.statement() as tx:
        found = await queries.pending_interrupt(tx, interrupt_id)
    if found is None:
        raise NotFoundError(f"no interrupt {interrupt_id} is pending: `recado interrupts list` shows those that are")
    return found


async def tag_contact(system: Database, tenant: str, address: str, add: list[str], remove: list[str]) -> list[str]:
    """Add and remove tags of a contact, and return its tags. `address` is in any form. Raises NotFoundError."""
    contact = await contacts.find_contact(system, tenant, address)
    async with system.statement() as tx:
        tags = await queries.tag_contact(tx, contact.tenant_id, contact.addresses, add, remove)
    if tags is None:
        raise contact.unknown
    return tags


async def facts_of(system: Database, tenant: str, address: str, *, forget: bool = False) -> list[str]:
    """Return the facts of a contact, after deleting them if `forget`. Raises NotFoundError."""
    contact = await contacts.find_contact(system, tenant, address)
    async with system.transaction() as tx:
        if forget:
            await queries.forget_facts(tx, contact.tenant_id, contact.addresses)
        found = await queries.facts_of(tx, contact.tenant_id, contact.addresses)
    if found is None:
        raise contact.unknown
    return found

"""Keep the tables small, and erase contacts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString

import structlog

from app.db import Database
from app.errors import NotFoundError
from app.identity import contacts
from app.identity import service as identity
from app.retention import queries
from app.retention.queries import Erased
from app.retention.usage_copy import copy_usage
from app.retention.usage_hours import sum_next_hour

log = structlog.get_logger()

COPIED_AT_ONCE = 200
"""Turns whose usage one statement copies."""


@dataclass(frozen=True)
class RetentionKind:
    """What is erased after `days`, if a tenant sets nothing else: so many rows in one statement."""

    about: str
    days: int
    statement: LiteralString
    at_once: int


KINDS: Mapping[str, RetentionKind] = {
    "conversations": RetentionKind(
        "conversations after they were closed, with all their rows, and contacts without another",
        365,
        queries.ERASE_CONVERSATIONS,
        20,
    ),
    "callbacks": RetentionKind("status callbacks of sent messages", 30, queries.ERASE_CALLBACKS, 500),
    "usage": RetentionKind("rows of the usage ledger", 800, queries.ERASE_USAGE, 500),
}


async def keep_up(system: Database, now: datetime) -> bool:
    """Do one batch of each kind of upkeep. Return whether there may be more to do."""
    async with system.statement() as tx:
        more = await copy_usage(tx, COPIED_AT_ONCE) == COPIED_AT_ONCE
        more = await sum_next_hour(tx, now) or more
        for name, kind in KINDS.items():
            erased = await queries.erase_old(tx, kind.statement, name, kind.days, now, kind.at_once)
            if erased:
                log.info("old rows erased", kind=name, rows=erased)
            more = more or erased == kind.at_once
    return more


async def retention(system: Database, slug: str) -> Mapping[str, int]:
    """Return for how many days the tenant keeps each kind. Raises NotFoundError."""
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        own = {row.kind: row.days for row in await queries.settings(tx, tenant.id)}
    return {name: own.get(name, kind.days) for name, kind in KINDS.items()}


async def set_retention(system: Database, slug: str, kind: str, days: int) -> None:
    """Set for how many days the tenant keeps a kind. Raises NotFoundError."""
    if kind not in KINDS:
        raise NotFoundError(f"there is no kind {kind!r}: there are {', '.join(KINDS)}")
    tenant = await identity.tenant(system, slug)
    async with system.statement() as tx:
        await queries.set_days(tx, tenant.id, kind, days)


async def erase_contact(system: Database, slug: str, address: str) -> Erased:
    """Erase everything of a contact on all numbers of the tenant, now. `address` has any form. Raises NotFoundError."""
    contact = await contacts.find_contact(system, slug, address)
    async with system.transaction() as tx:
        erased = await queries.erase_contact(tx, contact.tenant_id, contact.addresses)
    if not erased.contacts:
        raise contact.unknown
    return erased

"""Find conversations that are due and that no live worker owns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from app.db import Transaction


@dataclass(frozen=True)
class DueConversation:
    """A conversation that a worker should claim."""

    tenant_id: UUID
    conversation_id: UUID


@dataclass(frozen=True)
class SweepLimits:
    """The cut-off times of a sweep by the worker `owner`.

    A conversation without an owner is found when it was due at `unnudged`: until then its nudge may still arrive. A
    claim is taken from any worker when it is older than `stale`, and from `owner` itself, because the answer of that
    claim, or of its commit, was lost with a connection. Conversations that are `in_hand` are left out, and so are those
    of `full_tenants`.
    """

    owner: int
    now: datetime
    unnudged: datetime
    stale: datetime
    in_hand: Sequence[UUID]
    full_tenants: Sequence[UUID]
    limit: int


async def find_due(tx: Transaction, limits: SweepLimits) -> list[DueConversation]:
    """Return the due conversations without a live owner, longest due first."""
    return await tx.all(
        DueConversation,
        """with live as materialized (select id from live_workers)
           select tenant_id, id as conversation_id from conversations
           where pending > 0 and due_at <= %(now)s
               and (
                   (owner is null and due_at <= %(unnudged)s)
                   or claimed_at < %(stale)s
                   or owner = %(owner)s
                   or owner not in (select id from live)
               )
               -- A subselect, because it is hashed: an array would be searched for each due conversation.
               and id not in (select unnest(%(in_hand)s::uuid[]))
               and tenant_id not in (select unnest(%(full_tenants)s::uuid[]))
           order by due_at limit %(limit)s""",
        vars(limits),
    )

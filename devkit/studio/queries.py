"""Find the owners of LangGraph threads, copy threads, and list conversations."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from app.db import Transaction

COPY: tuple[LiteralString, ...] = (
    """insert into checkpoints (
           thread_id, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata
       )
       select %(target)s, checkpoint_ns, checkpoint_id, parent_checkpoint_id, type, checkpoint, metadata - 'thread_id'
       from checkpoints where thread_id = %(source)s""",
    """insert into checkpoint_blobs (thread_id, checkpoint_ns, channel, version, type, blob)
       select %(target)s, checkpoint_ns, channel, version, type, blob
       from checkpoint_blobs where thread_id = %(source)s""",
    """insert into checkpoint_writes (
           thread_id, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
       )
       select %(target)s, checkpoint_ns, checkpoint_id, task_id, idx, channel, type, blob, task_path
       from checkpoint_writes where thread_id = %(source)s""",
)
"""The statements that copy a thread's rows in LangGraph's tables. Parameters are `source` and `target`."""


@dataclass(frozen=True)
class Owner:
    """The tenant of a thread. `conversation` is false for a thread that was made in Studio."""

    tenant_id: UUID
    conversation: bool


async def owner_of_thread(tx: Transaction, thread_id: UUID) -> Owner | None:
    """Return the tenant of a thread, or None if nothing was written to it."""
    return await tx.one(
        Owner,
        """select tenant_id, true as conversation from conversations where id = %(id)s
           union all select tenant_id, false from checkpoints where thread_id = %(id)s::text
           limit 1""",
        {"id": thread_id},
    )


@dataclass(frozen=True)
class ListedConversation:
    """A conversation for Studio's list."""

    id: UUID
    slug: str
    contact: str
    status: str
    opened_at: datetime
    last_turn_at: datetime | None


LISTED: LiteralString = """
    select v.id, t.slug, coalesce(c.profile_name, c.address) as contact, v.status, v.opened_at,
        last.finished_at as last_turn_at
    from conversations v join contacts c on c.id = v.contact_id join tenants t on t.id = v.tenant_id
    left join lateral (
        select finished_at from turns where conversation_id = v.id order by turn desc limit 1
    ) last on true
"""


async def latest_conversations(tx: Transaction, limit: int, turns: int) -> list[ListedConversation]:
    """Return the conversations of each tenant's latest turns, the latest conversation last.

    `turns` bounds the rows that are read: it is the number of each tenant's turns that are looked at.
    """
    return await tx.all(
        ListedConversation,
        LISTED
        + """where v.id in (
                select latest.conversation_id from tenants cross join lateral (
                    select conversation_id from (
                        select conversation_id, finished_at from turns
                        where tenant_id = tenants.id order by finished_at desc limit %(turns)s
                    ) recent
                    group by conversation_id order by max(finished_at) desc limit %(limit)s
                ) latest
            )
            order by last.finished_at""",
        {"limit": limit, "turns": turns},
    )


async def conversation(tx: Transaction, conversation_id: UUID) -> ListedConversation | None:
    """Return one conversation of any tenant."""
    return await tx.one(ListedConversation, LISTED + "where v.id = %(id)s", {"id": conversation_id})


async def known_threads(tx: Transaction, ids: list[str]) -> list[str]:
    """Return those of the ids that are conversations or have checkpoints."""
    rows = await tx.all(
        dict,
        """select id::text from conversations where id = any(%(ids)s::uuid[])
           union select thread_id from checkpoints where thread_id = any(%(ids)s::text[])""",
        {"ids": ids},
    )
    return [row["id"] for row in rows]

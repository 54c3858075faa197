"""Whose a LangGraph thread is, and its copy, in SQL."""

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
"""All that LangGraph's tables have of one thread, for another."""


@dataclass(frozen=True)
class Owner:
    """Whose a thread is, and whether it is a conversation or was made in Studio."""

    tenant_id: UUID
    conversation: bool


async def owner_of_thread(tx: Transaction, thread_id: UUID) -> Owner | None:
    """Whose conversation the thread is; or, made in Studio, who has written to it."""
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


LISTED: LiteralString = """
    select v.id, t.slug, coalesce(c.profile_name, c.address) as contact, v.status, v.opened_at
    from conversations v join contacts c on c.id = v.contact_id join tenants t on t.id = v.tenant_id
"""


async def latest_conversations(tx: Transaction, limit: int) -> list[ListedConversation]:
    """Return the conversations of each tenant that opened last, oldest first."""
    return await tx.all(
        ListedConversation,
        LISTED
        + """where v.id in (
                select latest.id from tenants cross join lateral (
                    select id from conversations where tenant_id = tenants.id order by opened_at desc limit %(limit)s
                ) latest
            )
            order by v.opened_at""",
        {"limit": limit},
    )


async def conversation(tx: Transaction, conversation_id: UUID) -> ListedConversation | None:
    """Return one conversation of any tenant."""
    return await tx.one(ListedConversation, LISTED + "where v.id = %(id)s", {"id": conversation_id})

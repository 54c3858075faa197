"""What operators do to a conversation: take it over, reply, close it.

Each command is one round trip under the conversation's row lock. What silences the assistant increments the epoch, so
that a turn which is running cannot commit.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from app.channels.base import FREE_FORM_FOR
from app.channels.splitting import split_body
from app.clock import Clock
from app.conversations.queries import reply_target
from app.conversations.shared_ctes import ASKED, RESOLVED, SPOKEN
from app.db import Database
from app.errors import ConflictError

TAKEN_OVER = "taken-over-"
"""The beginning of the ids of handoffs that an operator began. No graph waits for them."""

# The first statement of each command. The second has a new snapshot, taken under the lock.
LOCK: LiteralString = "select from conversations where id = %(conversation_id)s for update"

# Where the graph waits for an operator's decision and nobody has decided, it goes on waiting. Otherwise the turn that
# runs is lost, with the legs that it has committed: the checkpoint is set aside, and after the return the graph runs on
# the transcript.
TAKE_OVER: LiteralString = f"""
with target as (
    select c.id, exists (
        select from interrupts where conversation_id = c.id and resolved_at is null
    ) and not exists (
        select from inbox
        where conversation_id = c.id and disposition is null and (kind <> 'message' or turn is not null)
    ) as graph_waits
    from conversations c where c.id = %(conversation_id)s and c.status <> 'closed'
),
superseded as (
    update inbox set disposition = 'superseded' from target
    where conversation_id = target.id and disposition is null and kind <> 'message'
    returning inbox.id
),
untaken as (
    update inbox set turn = null from target
    where conversation_id = target.id and disposition is null and kind = 'message' and turn is not null
),
taken as (
    update conversations c set
        status = 'human', owner = null, claimed_at = null, epoch = c.epoch + 1, attempts = 0, last_error = null,
        pending = c.pending - gone.count,
        pending_since = case when c.pending > gone.count then c.pending_since end,
        due_at = case when c.pending > gone.count then %(now)s::timestamptz end,
        wake_at = case when c.wake_for = 'expire' then c.wake_at else %(expire_at)s::timestamptz end,
        wake_for = case when c.wake_for = 'expire' or %(expire_at)s::timestamptz is not null then 'expire' end
    from target, (select count(*) from superseded) gone
    where c.id = target.id
    returning c.id, c.tenant_id, c.contact_id, c.turn, c.epoch, target.graph_waits
),
fenced as (select * from taken where not graph_waits),
{RESOLVED},
{ASKED},
writes as (
    update checkpoint_writes set thread_id = %(thread_id)s || ':aside:' || epoch from fenced
    where thread_id = %(thread_id)s
),
blobs as (
    update checkpoint_blobs set thread_id = %(thread_id)s || ':aside:' || epoch from fenced
    where thread_id = %(thread_id)s
),
checkpoints_aside as (
    update checkpoints set thread_id = %(thread_id)s || ':aside:' || epoch from fenced
    where thread_id = %(thread_id)s
)
select id from taken
"""

CLOSE: LiteralString = f"""
with fenced as (
    update conversations c set
        status = 'closed', closed_at = %(now)s, owner = null, claimed_at = null, epoch = c.epoch + 1,
        attempts = 0, last_error = null, pending = 0, pending_since = null, due_at = null,
        wake_at = null, wake_for = null
    where c.id = %(conversation_id)s and c.status <> 'closed'
    returning c.id, c.tenant_id, c.contact_id, c.turn
),
consumed as (
    update inbox set disposition = case when kind = 'message' then 'human' else 'superseded' end
    from fenced where conversation_id = fenced.id and disposition is null
),
{RESOLVED},
writes as (delete from checkpoint_writes using fenced where thread_id = %(thread_id)s),
blobs as (delete from checkpoint_blobs using fenced where thread_id = %(thread_id)s),
states as (delete from checkpoints using fenced where thread_id = %(thread_id)s)
select id from fenced
"""

REPLY: LiteralString = f"""
with fenced as (
    select c.id, c.tenant_id, c.contact_id, c.turn
    from conversations c join contacts k on k.id = c.contact_id
    where c.id = %(conversation_id)s and c.status = 'human' and k.last_inbound_at > %(contact_wrote_after)s
),
{SPOKEN}
select id from fenced
"""


@dataclass(frozen=True)
class Changed:
    """The conversation that a command has changed."""

    id: UUID


async def take_over(
    system: Database, conversation_id: UUID, operator: str, clock: Clock, *, expire: float | None = None
) -> None:
    """Give the conversation to an operator: the assistant is silent until the handoff is decided.

    It is closed after `expire` seconds of silence, if given. Raises ConflictError when it is closed or unknown.
    """
    now = clock()
    payload = {"kind": "handoff", "reason": f"taken over by {operator}", "message": None}
    parameters = {
        "interrupt_ids": [f"{TAKEN_OVER}{conversation_id}-{now.timestamp():.6f}"],
        "interrupt_kinds": ["handoff"],
        "interrupt_payloads": [Jsonb(payload)],
        "interrupt_dues": [None],
        "thread_id": str(conversation_id),
        "expire_at": None if expire is None else now + timedelta(seconds=expire),
    }
    if not await _run(system, TAKE_OVER, conversation_id, now, parameters):
        raise ConflictError(f"conversation {conversation_id} is not open")


async def close(system: Database, conversation_id: UUID, clock: Clock) -> None:
    """Close the conversation without a message, and delete its state. What nobody answered counts as read.

    Raises ConflictError when the conversation is closed or unknown.
    """
    if not await _run(system, CLOSE, conversation_id, clock(), {"thread_id": str(conversation_id)}):
        raise ConflictError(f"conversation {conversation_id} is not open")


async def reply(system: Database, conversation_id: UUID, text: str, clock: Clock) -> None:
    """Send an operator's text to the contact.

    Raises ConflictError when no human has the conversation, or WhatsApp takes no free text for the contact any more.
    """
    now, parts = clock(), split_body(text)
    parameters = {
        "authors": ["operator"] * len(parts),
        "bodies": parts,
        "owner": None,
        "owner_check": now,
        "head_check": now,
        "contact_wrote_after": now - FREE_FORM_FOR,
    }
    if not await _run(system, REPLY, conversation_id, now, parameters):
        async with system.statement() as tx:
            target = await reply_target(tx, conversation_id)
        if target is not None and target.status == "human":
            raise window_closed(target.contact_wrote_at)
        raise ConflictError(f"no human has conversation {conversation_id}: take it over first")


def window_closed(contact_wrote_at: datetime | None) -> ConflictError:
    """Return the error that WhatsApp takes no free text for a contact."""
    when = "never" if contact_wrote_at is None else f"at {contact_wrote_at:%Y-%m-%d %H:%M} UTC"
    return ConflictError(
        f"the contact wrote last {when}, and WhatsApp takes free text only for 24 hours after that: "
        "it can be answered when it writes again"
    )


async def _run(
    system: Database, query: LiteralString, conversation_id: UUID, now: datetime, parameters: dict[str, Any]
) -> bool:
    common = {"conversation_id": conversation_id, "now": now, "resolved_ids": None}
    async with system.statement() as tx:
        return bool(await tx.after(LOCK, Changed, query, {**common, **parameters}))

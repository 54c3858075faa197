"""Build the value that a graph is resumed with: the decision, and what was said while a human had the conversation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from app.db import Transaction
from app.turns.claim import Claim, InboxItem
from app.turns.graph_input import message_text
from app.turns.quotes import quoted_texts
from graphs.config import Assistant
from graphs.nodes.handoff import ResumeValue, Said


@dataclass(frozen=True)
class Utterance:
    """A message of a conversation. `id` is unique across its authors."""

    id: str
    author: Literal["contact", "operator", "assistant"]
    body: str
    payload: Mapping[str, Any]


async def utterances_since_interrupt(tx: Transaction, conversation_id: UUID, before: int) -> list[Utterance]:
    """Return what contact and operators said since the open interrupt, up to the inbox row `before`, oldest first."""
    return await tx.all(
        Utterance,
        """with stopped as (
               select max(created_at) as at from interrupts
               where conversation_id = %(conversation_id)s and resolved_at is null
           ),
           seen as (
               select coalesce(max(id), 0) as id from inbox
               where conversation_id = %(conversation_id)s and disposition in ('answered', 'parked', 'resolved')
           )
           select id, author, body, payload from (
               select provider_sid as id, 'contact' as author, body, payload, received_at as at
               from inbox, seen
               where conversation_id = %(conversation_id)s and kind = 'message'
                   and inbox.id > seen.id and inbox.id < %(before)s
               union all
               select 'outbox-' || id, author, body, '{}', created_at from outbox, stopped
               where conversation_id = %(conversation_id)s and author = 'operator' and created_at >= stopped.at
           ) utterances
           order by at""",
        {"conversation_id": conversation_id, "before": before},
    )


async def resume_value(tx: Transaction, claim: Claim, item: InboxItem, assistant: Assistant) -> ResumeValue:
    """Return the resume value for a decision row, or for the timer that fired instead of one."""
    utterances = await utterances_since_interrupt(tx, claim.id, item.id)
    sids = [str(utterance.payload["quoted"]) for utterance in utterances if "quoted" in utterance.payload]
    quoted = await quoted_texts(tx, claim.id, claim.contact_id, sids)
    said = [_said(utterance, quoted) for utterance in utterances]
    if item.kind == "timer":
        return ResumeValue(action=assistant.handoff.on_timeout, said=said, unattended=True)
    return ResumeValue(
        action=item.payload["action"],
        reply=item.payload.get("reply"),
        arguments=item.payload.get("arguments") or {},
        reason=item.payload.get("reason"),
        said=said,
    )


def _said(utterance: Utterance, quoted: Mapping[str, str]) -> Said:
    if utterance.author != "contact":
        return Said(id=utterance.id, author="operator", body=utterance.body)
    text = message_text(utterance.body, utterance.payload, quoted)
    return Said(id=utterance.id, author="contact", body=text, written=utterance.body.strip())

"""Recover a conversation whose turn cannot run: read its transcript, set its checkpoint aside, hand it over."""

from typing import Literal

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from app.db import Transaction
from app.turns.claim import Claim
from app.turns.graph_input import GraphInput, human_messages, message_text
from app.turns.plan import TurnPlan
from app.turns.resume import Utterance
from graphs.config import Assistant
from graphs.state import add_reply, new_turn, replace_turn


def parked_reason(claim: Claim) -> str:
    """Return why the conversation is handed over, for operators."""
    return f"parked after {claim.attempts - 1} attempts: {claim.last_error or 'the worker ended'}"


async def transcript(tx: Transaction, claim: Claim, limit: int) -> list[AnyMessage]:
    """Return the last messages of the conversation before the claimed rows, oldest first."""
    utterances = await tx.all(
        Utterance,
        """select id, author, body, payload from (
               select provider_sid as id, 'contact' as author, body, payload, received_at as at
               from inbox
               where conversation_id = %(conversation_id)s and kind = 'message' and not (inbox.id = any(%(claimed)s))
               union all
               select 'outbox-' || id, author, body, '{}', created_at from outbox
               where conversation_id = %(conversation_id)s
               order by at desc limit %(limit)s
           ) utterances
           order by at""",
        {"conversation_id": claim.id, "claimed": [item.id for item in claim.inbox], "limit": limit},
    )
    return [_message(utterance) for utterance in utterances]


def _message(utterance: Utterance) -> AnyMessage:
    author: Literal["contact", "operator", "assistant"] = utterance.author
    if author == "contact":
        return HumanMessage(message_text(utterance.body, utterance.payload), id=utterance.id)
    return AIMessage(f"[operator] {utterance.body}" if author == "operator" else utterance.body, id=utterance.id)


async def set_checkpoint_aside(tx: Transaction, claim: Claim) -> str:
    """Keep the conversation's checkpoint under another thread id, which is returned. Fenced by the claim.

    Developers can open that thread in Studio; the conversation begins with an empty state.
    """
    aside = f"{claim.id}:aside:{claim.epoch}"
    await tx.run(
        """with fenced as (
               select from conversations where id = %(conversation_id)s and owner = %(owner)s and epoch = %(epoch)s
           ),
           writes as (
               update checkpoint_writes set thread_id = %(aside)s from fenced where thread_id = %(thread_id)s
           ),
           blobs as (
               update checkpoint_blobs set thread_id = %(aside)s from fenced where thread_id = %(thread_id)s
           )
           update checkpoints set thread_id = %(aside)s from fenced where thread_id = %(thread_id)s""",
        {**claim.fence, "aside": aside},
    )
    return aside


def hand_over_input(plan: TurnPlan, assistant: Assistant, reason: str) -> GraphInput:
    """Start a turn that goes straight to an operator, with the operator's own reply or else the apology."""
    text = plan.operator_reply
    turn = replace_turn(new_turn(), handoff=reason)
    turn = add_reply(turn, text, "operator") if text else add_reply(turn, assistant.apology)
    return {"messages": human_messages(plan.messages), "turn": turn}

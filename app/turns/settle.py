"""Decide what a turn's commit writes. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.channels.splitting import split_body
from app.turns.claim import Claim
from app.turns.commit import Interrupt, Settlement, TurnRecord
from app.turns.graph_run import GraphResult
from app.turns.hand_over import parked_reason
from app.turns.plan import PARKED, Action, TurnPlan
from app.turns.timers import Waiting, expiry_timer, next_timer
from graphs.config import CLOSE, Assistant
from graphs.nodes.handoff import handoff_request
from graphs.state import Reply, Route

log = structlog.get_logger()

MAX_FOLDS = 3
"""Attempts at a turn that may be folded, so that a contact who never stops writing is answered."""


@dataclass(frozen=True)
class Execution:
    """What the execution of a plan produced. `result` is None where no graph ran."""

    assistant: Assistant | None = None
    result: GraphResult | None = None


def settle(claim: Claim, plan: TurnPlan, execution: Execution, now: datetime) -> Settlement:
    """Return what the commit writes."""
    assistant = execution.assistant
    if execution.result is not None and assistant is not None:
        return _settle_result(claim, plan, execution.result, assistant, now)
    if plan.action in (Action.PARK, Action.HAND_OVER) and assistant is not None:
        return _park(claim, plan, assistant, now)
    if plan.action is Action.GIVE_BACK and assistant is not None:
        return _give_back(plan, assistant, now)
    if plan.action is Action.EXPIRE:
        return Settlement("closed", plan.dispositions, record=TurnRecord(route=Route(to=CLOSE, why="expired")))
    return _skip(claim, plan, assistant, now)


def may_fold(claim: Claim, plan: TurnPlan, execution: Execution) -> bool:
    """Return whether the turn starts again when a message arrived during it.

    A turn that has committed a leg never does: its tool calls stand. Neither does one whose rows fill the batch: the
    new message would not be among them. An expiry always does.
    """
    if plan.action is Action.EXPIRE:
        return True
    if claim.pending > len(claim.inbox):
        return False
    assistant, result = execution.assistant, execution.result
    if plan.action is not Action.ANSWER or assistant is None or result is None:
        return False
    return assistant.lifecycle.while_running == "fold" and result.legs == 0 and claim.folds < MAX_FOLDS


def needs_expiry(claim: Claim) -> bool:
    """Return whether a skipped message moves the expiry of a conversation that waits for an operator."""
    return claim.status in ("waiting", "human") and claim.wake_for in (None, "expire")


def _settle_result(
    claim: Claim, plan: TurnPlan, result: GraphResult, assistant: Assistant, now: datetime
) -> Settlement:
    turn = result.state["turn"]
    notices = [i.payload["message"] for i in result.interrupts if i.payload["message"]]
    replies = [*turn["replies"], *(Reply(author="assistant", body=notice) for notice in notices)]
    return Settlement(
        status="waiting" if result.interrupts else "closed" if turn["closed"] else "bot",
        dispositions=plan.dispositions,
        # Set for a close, too: a message that arrived during the turn keeps the conversation open.
        timer=next_timer(_waiting_for(result), assistant, now),
        checkpoint=result.checkpoint,
        record=TurnRecord(
            replies=_split(replies),
            agent=result.state.get("agent"),
            route=turn["route"],
            usage=turn["usage"],
            interrupts=[_with_due_time(interrupt, assistant, now) for interrupt in result.interrupts],
            rating=turn.get("rating"),
            error=parked_reason(claim) if plan.action is Action.HAND_OVER else result.problem or turn.get("problem"),
        ),
    )


def _waiting_for(result: GraphResult) -> Waiting:
    if result.interrupts:
        return "approval" if any(interrupt.kind == "approval" for interrupt in result.interrupts) else "handoff"
    if result.state.get("csat") == "asked":
        return "rating"
    return "reminded contact" if result.state["turn"]["event"] == "reminder" else "contact"


def _with_due_time(interrupt: Interrupt, assistant: Assistant, now: datetime) -> Interrupt:
    sla = assistant.handoff.sla if interrupt.kind == "handoff" else None
    return replace(interrupt, due_at=now + timedelta(seconds=sla)) if sla else interrupt


def _skip(claim: Claim, plan: TurnPlan, assistant: Assistant | None, now: datetime) -> Settlement:
    """Consume the rows, and send an operator's reply that came too late for its interrupt."""
    timer = expiry_timer(assistant, now) if assistant is not None else None
    reply = plan.operator_reply
    record = TurnRecord(replies=_split([Reply(author="operator", body=reply)])) if reply else None
    return Settlement(None, plan.dispositions, timer, keep_timer=timer is None, record=record)


def _park(claim: Claim, plan: TurnPlan, assistant: Assistant, now: datetime) -> Settlement:
    """Give the rows up, where the graph cannot even hand the conversation over."""
    log.error("turn parked", conversation_id=str(claim.id), attempts=claim.attempts - 1)
    error, handoff, text = parked_reason(claim), assistant.handoff, plan.operator_reply
    if plan.action is Action.PARK:
        timer = next_timer("contact", assistant, now)
        return Settlement("closed", plan.dispositions, timer, record=TurnRecord(error=error))
    replies = [Reply(author="operator", body=text) if text else Reply(author="assistant", body=assistant.apology)]
    if handoff.message:
        replies.append(Reply(author="assistant", body=handoff.message))
    request = handoff_request(assistant, error)
    interrupt = _with_due_time(Interrupt(f"{PARKED}{claim.id}-{claim.epoch}", "handoff", request), assistant, now)
    record = TurnRecord(replies=_split(replies), error=error, interrupts=[interrupt])
    return Settlement("waiting", plan.dispositions, next_timer("handoff", assistant, now), record=record)


def _give_back(plan: TurnPlan, assistant: Assistant, now: datetime) -> Settlement:
    """End a parked conversation's handoff as the operator decided, or as the manifest says for a timeout."""
    assert plan.decision is not None
    closes = plan.decision.payload.get("action", assistant.handoff.on_timeout) == "close"
    replies = [Reply(author="operator", body=plan.operator_reply)] if plan.operator_reply else []
    if closes and assistant.lifecycle.goodbye:
        replies.append(Reply(author="assistant", body=assistant.lifecycle.goodbye))
    timer = next_timer("contact", assistant, now)
    return Settlement(
        "closed" if closes else "bot", plan.dispositions, timer, record=TurnRecord(replies=_split(replies))
    )


def _split(replies: Sequence[Reply]) -> list[Reply]:
    return [Reply(author=r["author"], body=part) for r in replies for part in split_body(r["body"])]

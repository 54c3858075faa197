"""Decide what a turn does with the waiting inbox rows. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from app.conversations.commands import TAKEN_OVER
from app.turns.claim import Claim, InboxItem


class Action(Enum):
    """What a turn does."""

    ANSWER = "run the graph with the contact's messages"
    CONTINUE = "run the graph from its last committed leg"
    RESUME = "run the graph with an operator's decision"
    REMIND = "run the graph to remind a silent contact"
    CLOSE = "run the graph to say goodbye"
    EXPIRE = "close the conversation without the graph"
    SKIP = "consume the rows without the graph"
    GIVE_BACK = "end a handoff that no graph waits for"
    HAND_OVER = "hand the conversation over after too many attempts"
    PARK = "give the rows up after too many attempts: there is nobody to tell"


WITHOUT_GRAPH = (Action.SKIP, Action.HAND_OVER, Action.GIVE_BACK)
"""The actions that send an operator's reply although no graph is resumed with it."""

PARKED = "parked-"
"""The beginning of the ids of handoffs that no graph waits for: it could not be run."""


@dataclass(frozen=True)
class TurnPlan:
    """The action of a turn, and the disposition of each inbox row that it consumes if it succeeds."""

    action: Action
    dispositions: dict[int, str]
    messages: Sequence[InboxItem] = ()
    decision: InboxItem | None = None

    @property
    def operator_reply(self) -> str | None:
        """The operator's text that is sent although no graph is resumed with the decision."""
        if self.decision is None or self.action not in WITHOUT_GRAPH:
            return None
        reply = self.decision.payload.get("reply")
        return str(reply) if reply else None


def plan_turn(claim: Claim, max_attempts: int) -> TurnPlan:
    """Return the plan for a claim. Rows without a disposition stay in the inbox for the next turn."""
    plan = _plan(claim)
    if claim.attempts > max_attempts and plan.action not in (Action.SKIP, Action.EXPIRE, Action.GIVE_BACK):
        # The contact wrote nothing that an operator could answer.
        silent = claim.status == "bot" and all(item.kind == "timer" for item in claim.inbox)
        action = Action.PARK if silent else Action.HAND_OVER
        return replace(plan, action=action, dispositions=dict.fromkeys(plan.dispositions, "parked"))
    return plan


def _plan(claim: Claim) -> TurnPlan:
    if claim.continues_turn:
        taken = [item for item in claim.inbox if item.turn == claim.next_turn]
        decision = next((item for item in taken if _is_decision(item, claim)), None)
        return TurnPlan(Action.CONTINUE, _dispositions(taken, decision), decision=decision)
    if claim.status != "closed" and [item.payload.get("timer") for item in claim.inbox] == ["expire"]:
        return TurnPlan(Action.EXPIRE, {claim.inbox[0].id: "resolved"})
    if claim.status in ("waiting", "human"):
        return _plan_for_operator(claim)
    late = next((item for item in claim.inbox if item.kind == "decision" and item.payload.get("reply")), None)
    if late is not None:
        # The interrupt is resolved already. The operator's reply is sent all the same.
        return TurnPlan(Action.SKIP, {late.id: "superseded"}, decision=late)
    messages = [item for item in claim.inbox if item.kind == "message"]
    if messages and claim.status != "closed":
        return TurnPlan(Action.ANSWER, _dispositions(claim.inbox), messages)
    for action, timer in ((Action.CLOSE, "idle"), (Action.REMIND, "reminder")):
        fired = next((item for item in claim.inbox if item.payload.get("timer") == timer), None)
        if fired is not None and claim.status != "closed":
            return TurnPlan(action, _dispositions(claim.inbox, fired))
    return TurnPlan(Action.SKIP, dict.fromkeys((item.id for item in claim.inbox), "superseded"))


def _plan_for_operator(claim: Claim) -> TurnPlan:
    """Resume with the decision, if there is one. The operator reads the messages that arrived before it."""
    decisions = [item for item in claim.inbox if _is_decision(item, claim)]
    # An operator's decision has priority over a timeout that fired just before it.
    decision = next((item for item in decisions if item.kind == "decision"), next(iter(decisions), None))
    earlier = [item for item in claim.inbox if decision is None or item.id < decision.id]
    dispositions = {item.id: "human" if item.kind == "message" else "superseded" for item in earlier}
    if decision is None:
        return TurnPlan(Action.SKIP, dispositions)
    no_graph_waits = any(name.startswith((PARKED, TAKEN_OVER)) for name in claim.interrupts)
    action = Action.GIVE_BACK if no_graph_waits else Action.RESUME
    return TurnPlan(action, {**dispositions, decision.id: "resolved"}, decision=decision)


def _is_decision(item: InboxItem, claim: Claim) -> bool:
    if item.kind == "decision":
        return item.payload.get("interrupt_id") in claim.interrupts
    return item.payload.get("timer") == "handoff_timeout"


def _dispositions(items: Sequence[InboxItem], decision: InboxItem | None = None) -> dict[int, str]:
    def disposition(item: InboxItem) -> str:
        if item is decision:
            return "resolved"
        return "answered" if item.kind == "message" else "superseded"

    return {item.id: disposition(item) for item in items}

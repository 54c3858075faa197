"""What a turn is to do with the waiting rows. Pure, so that every case can be read, and tested, at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from app.turns.queries import Claim, InboxItem


class Run(Enum):
    """How the graph is run."""

    MESSAGES = "with the contact's messages"
    GO_ON = "from its last leg"
    RESUME = "with a decision about its interrupt"
    CLOSE = "to say goodbye"
    NOT_AT_ALL = "not at all"
    PARK = "not again"


@dataclass(frozen=True)
class Plan:
    """`dispositions`: what becomes of each row that this turn consumes, when the turn succeeds."""

    run: Run
    dispositions: dict[int, str]
    messages: Sequence[InboxItem] = ()
    decision: InboxItem | None = None


def plan(claim: Claim, max_attempts: int) -> Plan:
    """What to do. Rows that are left out stay in the inbox for the next turn."""
    if claim.attempts > max_attempts:
        return Plan(Run.PARK, {item.id: "parked" for item in claim.inbox})
    begun = [item for item in claim.inbox if item.turn == claim.next_turn]
    if begun:
        return Plan(Run.GO_ON, _disposed(begun, decision=_decision(begun)))
    if claim.status in ("waiting", "human"):
        return _while_waiting(claim.inbox)
    if claim.status == "closed":
        return Plan(Run.NOT_AT_ALL, {item.id: "superseded" for item in claim.inbox})
    messages = [item for item in claim.inbox if item.kind == "message"]
    if messages:
        return Plan(Run.MESSAGES, _disposed(claim.inbox), messages)
    idle = [item for item in claim.inbox if item.payload.get("timer") == "idle"]
    if idle:
        return Plan(Run.CLOSE, _disposed(claim.inbox, decision=idle[0]))
    return Plan(Run.NOT_AT_ALL, {item.id: "superseded" for item in claim.inbox})


def _while_waiting(items: Sequence[InboxItem]) -> Plan:
    decision = _decision(items)
    if decision is None:
        return Plan(Run.NOT_AT_ALL, {i.id: "human" if i.kind == "message" else "superseded" for i in items})
    before = {i.id: "human" if i.kind == "message" else "superseded" for i in items if i.id < decision.id}
    return Plan(Run.RESUME, {**before, decision.id: "resolved"}, decision=decision)


def _decision(items: Sequence[InboxItem]) -> InboxItem | None:
    return next((i for i in items if i.kind == "decision" or i.payload.get("timer") == "handoff_timeout"), None)


def _disposed(items: Sequence[InboxItem], decision: InboxItem | None = None) -> dict[int, str]:
    def disposition(item: InboxItem) -> str:
        if item is decision:
            return "resolved"
        return "answered" if item.kind == "message" else "superseded"

    return {item.id: disposition(item) for item in items}

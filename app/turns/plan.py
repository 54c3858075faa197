"""What a turn is to do with the waiting rows. Pure, so that every case can be read, and tested, at a glance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from app.turns.queries import Claim, InboxItem


class Run(Enum):
    """How the graph is run."""

    MESSAGES = "with the contact's messages"
    GO_ON = "from its last leg"
    RESUME = "with a decision about its interrupt"
    REMIND = "to ask whether the contact is there"
    CLOSE = "to say goodbye"
    EXPIRE = "not at all, for the conversation ends"
    NOT_AT_ALL = "not at all"
    PARK = "not again"


@dataclass(frozen=True)
class Plan:
    """`dispositions`: what becomes of each row that this turn consumes, when the turn succeeds."""

    run: Run
    dispositions: dict[int, str]
    messages: Sequence[InboxItem] = ()
    decision: InboxItem | None = None

    @property
    def passes_on(self) -> str | None:
        """What an operator wants said, although no graph runs with the decision."""
        said = self.decision.payload.get("reply") if self.decision and self.run in (Run.NOT_AT_ALL, Run.PARK) else None
        return str(said) if said else None


def plan(claim: Claim, max_attempts: int) -> Plan:
    """What to do. Rows that are left out stay in the inbox for the next turn."""
    found = _plan(claim)
    if claim.attempts > max_attempts and found.run not in (Run.NOT_AT_ALL, Run.EXPIRE):
        return replace(found, run=Run.PARK, dispositions=dict.fromkeys(found.dispositions, "parked"))
    return found


def _plan(claim: Claim) -> Plan:
    begun = [item for item in claim.inbox if item.turn == claim.next_turn]
    if begun:
        decision = next((item for item in begun if _decides(item, claim)), None)
        return Plan(Run.GO_ON, _disposed(begun, decision), decision=decision)
    if claim.status != "closed" and [item.payload.get("timer") for item in claim.inbox] == ["expire"]:
        return Plan(Run.EXPIRE, {claim.inbox[0].id: "resolved"})
    if claim.status in ("waiting", "human"):
        return _while_waiting(claim)
    late = next((item for item in claim.inbox if item.kind == "decision" and item.payload.get("reply")), None)
    if late is not None:
        # The conversation went on without the operator, whose words are owed to the contact all the same.
        return Plan(Run.NOT_AT_ALL, {late.id: "superseded"}, decision=late)
    messages = [item for item in claim.inbox if item.kind == "message"]
    if messages and claim.status != "closed":
        return Plan(Run.MESSAGES, _disposed(claim.inbox), messages)
    for run, timer in ((Run.CLOSE, "idle"), (Run.REMIND, "reminder")):
        fired = next((item for item in claim.inbox if item.payload.get("timer") == timer), None)
        if fired is not None and claim.status != "closed":
            return Plan(run, _disposed(claim.inbox, fired))
    return Plan(Run.NOT_AT_ALL, dict.fromkeys((item.id for item in claim.inbox), "superseded"))


def _while_waiting(claim: Claim) -> Plan:
    decisions = [item for item in claim.inbox if _decides(item, claim)]
    # An operator who came just after the time was up has come all the same.
    decision = next((item for item in decisions if item.kind == "decision"), next(iter(decisions), None))
    before = [item for item in claim.inbox if decision is None or item.id < decision.id]
    heard = {item.id: "human" if item.kind == "message" else "superseded" for item in before}
    if decision is None:
        return Plan(Run.NOT_AT_ALL, heard)
    return Plan(Run.RESUME, {**heard, decision.id: "resolved"}, decision=decision)


def _decides(item: InboxItem, claim: Claim) -> bool:
    if item.kind == "decision":
        return item.payload.get("interrupt_id") in claim.interrupts
    return item.payload.get("timer") == "handoff_timeout"


def _disposed(items: Sequence[InboxItem], decision: InboxItem | None = None) -> dict[int, str]:
    def disposition(item: InboxItem) -> str:
        if item is decision:
            return "resolved"
        return "answered" if item.kind == "message" else "superseded"

    return {item.id: disposition(item) for item in items}

"""Check an operator's decision against the interrupt, then put it into the inbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.assistants.service import Assistants
from app.channels.base import free_form_allowed
from app.conversations import service as conversations
from app.conversations.commands import window_closed
from app.conversations.queries import PendingInterrupt
from app.db import Database
from app.errors import ConflictError
from app.inbox.service import Inbox
from tools.base import InvalidArguments, Tool

TAKES = {
    "handoff": {"return": ("reply",), "close": ("reply",)},
    "approval": {"approve": ("arguments",), "reject": ("reason",)},
}
"""The actions that each kind of interrupt takes, and the fields that each action takes."""


@dataclass(frozen=True)
class OperatorDecision:
    """An operator's decision. `arguments` are edited arguments of an approval's calls, by call id."""

    action: str
    reply: str | None = None
    arguments: Mapping[str, Mapping[str, Any]] | None = None
    reason: str | None = None


async def decide(
    system: Database, assistants: Assistants, inbox: Inbox, interrupt_id: str, decision: OperatorDecision
) -> UUID:
    """Check a decision and put it into the inbox: the next turn resolves the interrupt. Return the conversation's id.

    Raises NotFoundError, ConflictError.
    """
    interrupt = await conversations.pending_interrupt(system, interrupt_id)
    allowed = TAKES[interrupt.kind]
    if decision.action not in allowed:
        raise ConflictError(f"{interrupt.id} is of the kind {interrupt.kind}: decide {' or '.join(allowed)}")
    for name in ("reply", "arguments", "reason"):
        if getattr(decision, name) and name not in allowed[decision.action]:
            raise ConflictError(f"`{decision.action}` takes no {name}: it would not be used")
    if decision.reply and not free_form_allowed(interrupt.contact_wrote_at, inbox.clock()):
        raise window_closed(interrupt.contact_wrote_at)
    if decision.arguments:
        await _check(assistants, interrupt, decision.arguments)
    payload = {name: value for name, value in vars(decision).items() if value}
    return await inbox.decide(interrupt.tenant_id, interrupt_id, payload)


async def _check(assistants: Assistants, interrupt: PendingInterrupt, edited: Mapping[str, Mapping[str, Any]]) -> None:
    waiting = {call["id"]: call for call in interrupt.payload.get("calls", ())}
    tools = await _tools(assistants, interrupt)
    for call_id, arguments in edited.items():
        call = waiting.get(call_id)
        if call is None:
            raise ConflictError(f"no call {call_id} waits: there are {', '.join(waiting) or 'none'}")
        tool = tools.get(call["tool"])
        try:
            if tool is not None:
                tool.parse(arguments)
        except InvalidArguments as error:
            raise ConflictError(f"the arguments for {call['tool']} do not fit: {error}") from None


async def _tools(assistants: Assistants, interrupt: PendingInterrupt) -> Mapping[str, Tool]:
    version_id = interrupt.version_id
    if version_id is None:
        return {}
    return (await assistants.version(interrupt.tenant_id, version_id)).assistant.tools

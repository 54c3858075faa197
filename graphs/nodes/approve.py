"""Stop before tool calls that an operator must approve."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from langchain_core.messages import AIMessage
from langchain_core.messages import ToolCall as ModelToolCall
from langgraph.types import interrupt

from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.nodes.handoff import ResumeValue, attributed
from graphs.state import Approval, State, Update, replace_turn
from graphs.tool_calls import needs_approval
from tools.base import InvalidArguments


class WaitingCall(TypedDict):
    """A call that waits for approval."""

    id: str
    tool: str
    arguments: Mapping[str, Any]


class ApprovalRequest(TypedDict):
    """The interrupt's value, which operators see."""

    kind: Literal["approval"]
    queue: str
    reason: str
    message: str | None
    calls: Sequence[WaitingCall]


def make_approve(assistant: Assistant) -> Node[Update]:
    """Return the node. It runs again from its start after the resume, so it does nothing before the interrupt."""

    async def approve(state: State) -> Update:
        last = state["messages"][-1]
        assert isinstance(last, AIMessage), "the edge into this node asks for a model's message"
        own = assistant.agents[str(state["agent"])].tools
        waiting = [call for call in last.tool_calls if needs_approval(assistant.tools, own, call)]
        decision: ResumeValue = interrupt(approval_request(assistant, waiting))
        edited = {str(call["id"]): approved_arguments(assistant, call, decision) for call in waiting}
        calls = [
            {**call, "args": arguments} if (arguments := edited.get(str(call["id"]))) is not None else call
            for call in last.tool_calls
        ]
        reason = refusal_of(decision)
        approved = [name for name, arguments in edited.items() if arguments is not None]
        approval = Approval(approved=approved, refused={name: reason for name in edited if name not in approved})
        # The calls' results come next in the history, then the messages of the time of waiting. The replies and the
        # usage before the interrupt are in the record of the turn that ended there.
        heard = attributed(decision.get("said", ()))
        turn = replace_turn(state["turn"], approval=approval, heard=heard, replies=[], usage=[])
        return {"messages": [last.model_copy(update={"tool_calls": calls})], "turn": turn}

    return approve


def approval_request(assistant: Assistant, calls: Sequence[ModelToolCall]) -> ApprovalRequest:
    """Return what operators see of calls that wait for an approval."""
    return ApprovalRequest(
        kind="approval",
        queue=assistant.approvals.queue,
        reason="; ".join(call["name"] for call in calls),
        message=assistant.approvals.message,
        calls=[WaitingCall(id=str(call["id"]), tool=call["name"], arguments=call["args"]) for call in calls],
    )


def approved_arguments(assistant: Assistant, call: ModelToolCall, decision: ResumeValue) -> dict[str, Any] | None:
    """Return the arguments of an approved call. None when it is rejected, or edited into invalid arguments."""
    if decision["action"] != "approve":
        return None
    arguments = dict(decision.get("arguments", {}).get(str(call["id"]), call["args"]))
    try:
        assistant.tools[call["name"]].parse(arguments)
    except InvalidArguments:
        # The console and the API refuse such an edit before. The model's own arguments were not approved.
        return None
    return arguments


def refusal_of(decision: ResumeValue) -> str:
    """Return why calls were not approved."""
    return decision.get("reason") or ("no operator decided in time" if decision.get("unattended") else "refused")

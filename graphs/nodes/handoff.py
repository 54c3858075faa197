"""Stop until an operator decides."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from langgraph.types import Command, interrupt

from graphs.config import Assistant
from graphs.default_texts import HANDED_OVER, in_language
from graphs.nodes.base import Node
from graphs.state import State, add_reply, new_turn

Next = Command[Literal["route", "close", "__end__"]]


class Said(TypedDict):
    """A message of the time when a human had the conversation.

    `body` is what models read. `written` is what a contact wrote, without words for what is no text.
    """

    id: str
    author: Literal["contact", "operator"]
    body: str
    written: NotRequired[str]


class ResumeValue(TypedDict):
    """The value that the graph is resumed with. `unattended` says that no operator decided in time.

    For an approval, `arguments` are edited arguments by call id, and `reason` is why it is rejected.
    """

    action: Literal["return", "close", "approve", "reject"]
    unattended: NotRequired[bool]
    arguments: NotRequired[Mapping[str, Mapping[str, Any]]]
    reason: NotRequired[str | None]
    reply: NotRequired[str | None]
    said: NotRequired[Sequence[Said]]


class HandoffRequest(TypedDict):
    """The interrupt's value, which operators see."""

    kind: Literal["handoff"]
    queue: str
    reason: str
    message: str | None


def handoff_request(assistant: Assistant, reason: str, *, silent: bool = False) -> HandoffRequest:
    """Return what operators see of a handoff. `silent`: nothing was said to the contact in this turn."""
    message = assistant.handoff.message or (in_language(HANDED_OVER, assistant.language) if silent else None)
    return HandoffRequest(
        kind="handoff",
        queue=assistant.handoff.queue,
        reason=reason,
        message=message,
    )


def make_handoff(assistant: Assistant) -> Node[Next]:
    """Return the node. It runs again from its start after the resume, so it does nothing before the interrupt."""

    async def handoff(state: State) -> Next:
        decision: ResumeValue = interrupt(
            handoff_request(assistant, state["turn"]["handoff"] or "", silent=not state["turn"]["replies"])
        )
        reply = decision.get("reply")
        turn = add_reply(new_turn("idle" if decision.get("unattended") else "message"), reply, "operator")
        messages = [*_superseded(assistant, state["messages"]), *attributed(decision.get("said", ()))]
        if reply:
            messages.append(AIMessage(f"[operator] {reply}"))
        unanswered = _unanswered(decision)
        if unanswered and decision["action"] == "return":
            said = "\n".join(filter(None, unanswered))
            update = {"messages": messages, "flow": None, "turn": new_turn(said=said)}
            return Command(goto="route", update=update)
        # The flow ends, so that the next message is not taken as an answer to its question.
        update = {"messages": messages, "flow": None, "turn": turn}
        return Command(goto="close" if decision["action"] == "close" else "__end__", update=update)

    return handoff


def _unanswered(decision: ResumeValue) -> list[str]:
    """Return the contact's messages that no operator answered."""
    said = decision.get("said", ()) if decision.get("unattended") else ()
    return [line.get("written", line["body"]) for line in said if line["author"] == "contact"]


def _superseded(assistant: Assistant, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    # The result "an operator takes over" would keep the model silent, or make it hand over again.
    return [
        ToolMessage(
            "An operator took over, and has handed the conversation back: you answer again.",
            tool_call_id=message.tool_call_id,
            name=message.name,
            id=message.id,
        )
        for message in messages
        if isinstance(message, ToolMessage) and message.status == "success" and _hands_over(assistant, message.name)
    ]


def _hands_over(assistant: Assistant, tool: str | None) -> bool:
    found = assistant.tools.get(tool or "")
    return found is not None and found.effects == "handoff"


def attributed(said: Sequence[Said]) -> list[BaseMessage]:
    """Return the messages of the time when a human had the conversation, attributed to their authors."""
    return [
        HumanMessage(line["body"], id=line["id"])
        if line["author"] == "contact"
        else AIMessage(f"[operator] {line['body']}", id=line["id"])
        for line in said
    ]

"""Keeps the history that the models see short and valid."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from graphs.answers import rating_in
from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.portable import LOST
from graphs.state import State, Update, new_turn


def make_recall(assistant: Assistant) -> Node[Update]:
    """The node, for one assistant's window."""

    async def recall(state: State) -> Update:
        update: Update = {}
        if "turn" not in dict(state):
            # Whoever starts the graph by hand, as in Studio, brings messages only.
            update["turn"] = new_turn(said=state["messages"][-1].text)
        elif _goes_on(state):
            past = state["messages"][: _just_said(state["messages"])]
            return {
                "messages": [RemoveMessage(id=str(message.id)) for message in past],
                "agent": None,
                "csat": "declined",
            }
        if changes := kept_short_and_valid(state["messages"], assistant.window):
            update["messages"] = changes
        return update

    return recall


def _goes_on(state: State) -> bool:
    """Whether the contact, asked to rate what is over, has begun something new: then what is over stays so."""
    turn = state["turn"]
    return state.get("csat") == "asked" and turn["event"] == "message" and rating_in(turn["said"]) is None


def kept_short_and_valid(messages: Sequence[BaseMessage], window: int) -> list[BaseMessage]:
    """What must be removed and added for the history to be no longer than the window, and whole."""
    start = window_start(messages, window)
    repaired = answer_dangling_calls(messages[start:])
    if repaired is None:
        return [RemoveMessage(id=str(message.id)) for message in messages[:start]]
    # A repair must stand right behind its call, so the list is written anew.
    return [RemoveMessage(id=REMOVE_ALL_MESSAGES), *repaired]


def window_start(messages: Sequence[BaseMessage], window: int) -> int:
    """Where the last `window` messages begin, moved on to a contact's message: no call is parted from its result.

    What the contact has just said is never cut, however much it is.
    """
    if len(messages) <= window:
        return 0
    start = min(len(messages) - window, _just_said(messages))
    turns = (i for i in range(start, len(messages)) if isinstance(messages[i], HumanMessage))
    return next(turns, start)


def _just_said(messages: Sequence[BaseMessage]) -> int:
    """Where what the contact has said last begins."""
    return next((i for i in range(len(messages), 0, -1) if not isinstance(messages[i - 1], HumanMessage)), 0)


def answer_dangling_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage] | None:
    """The messages with a result for every tool call, or None when none is missing.

    A turn that was given up leaves calls without results, and providers refuse such a history for ever.
    """
    answered = {message.tool_call_id for message in messages if isinstance(message, ToolMessage)}
    called = {call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    if called <= answered:
        return None
    repaired: list[BaseMessage] = []
    for message in messages:
        repaired.append(message)
        if isinstance(message, AIMessage):
            repaired.extend(
                ToolMessage(LOST, tool_call_id=str(call["id"]), name=call["name"], id=f"lost-{call['id']}")
                for call in message.tool_calls
                if call["id"] not in answered
            )
    return repaired

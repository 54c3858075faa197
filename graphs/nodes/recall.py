"""Keep the history that models see short and valid."""

from collections.abc import Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, RemoveMessage, ToolMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES

from graphs.answers import rating_in
from graphs.config import Assistant
from graphs.history import LOST
from graphs.nodes.base import Node
from graphs.state import State, TurnState, Update, new_turn, replace_turn


def make_recall(assistant: Assistant) -> Node[Update]:
    """Return the node for the assistant's window."""

    async def recall(state: State) -> Update:
        turn, messages = dict(state).get("turn"), state["messages"]
        update: Update = {}
        if turn is None or state["turn"]["route"] is not None:
            # A graph that is started by hand, as in Studio, gets messages only.
            just_said = messages[_just_said(messages) :]
            update["turn"] = new_turn(said="\n".join(message.text for message in just_said))
        elif state.get("csat") == "asked" and _says_something(state["turn"]):
            rating, more = rating_in(state["turn"]["said"])
            if more or _shows_something(state["turn"]):
                # The contact did not only rate. The rated case is over, so its history is removed.
                gone = [RemoveMessage(id=str(message.id)) for message in messages[: _just_said(messages)]]
                turn = replace_turn(state["turn"], rating=rating)
                return {"messages": gone, "agent": None, "csat": "declined", "turn": turn}
        if changes := history_changes(messages, assistant.window):
            update["messages"] = changes
        return update

    return recall


def _says_something(turn: TurnState) -> bool:
    """Return whether the turn answers a message of the contact. One that starts as a handoff does not."""
    return turn["event"] == "message" and turn["handoff"] is None


def _shows_something(turn: TurnState) -> bool:
    """Return whether the contact sent what may begin a new case. A sticker is a mere thanks."""
    return any(attachment["kind"] != "sticker" for attachment in turn.get("attachments", ()))


def history_changes(messages: Sequence[BaseMessage], window: int) -> list[BaseMessage]:
    """Return the removals and additions that make the history valid and no longer than the window."""
    start = window_start(messages, window)
    repaired = answer_dangling_calls(messages[start:])
    if repaired is None:
        return [RemoveMessage(id=str(message.id)) for message in messages[:start]]
    # A result must follow its call directly, so the whole list is replaced.
    return [RemoveMessage(id=REMOVE_ALL_MESSAGES), *repaired]


def window_start(messages: Sequence[BaseMessage], window: int) -> int:
    """Return the start of the last `window` messages, moved to a contact's message, so that calls keep their results.

    The contact's newest messages are never cut.
    """
    if len(messages) <= window:
        return 0
    start = min(len(messages) - window, _just_said(messages))
    turns = (i for i in range(start, len(messages)) if isinstance(messages[i], HumanMessage))
    return next(turns, start)


def _just_said(messages: Sequence[BaseMessage]) -> int:
    """Return the index at which the contact's newest messages begin."""
    return next((i for i in range(len(messages), 0, -1) if not isinstance(messages[i - 1], HumanMessage)), 0)


def answer_dangling_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage] | None:
    """Return the messages with a result for every tool call, or None when none is missing.

    A parked turn leaves calls without results. Providers refuse such a history.
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

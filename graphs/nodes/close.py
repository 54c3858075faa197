"""Ends the conversation."""

from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.state import State, Update, changed, saying


def make_close(assistant: Assistant) -> Node[Update]:
    """The node. The next message of the contact opens a new conversation."""

    async def close(state: State) -> Update:
        return {"turn": changed(saying(state["turn"], assistant.lifecycle.goodbye), closed=True)}

    return close

"""Asks a contact who has gone quiet whether it is still there."""

from langchain_core.messages import AIMessage

from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.state import State, Update, saying


def make_remind(assistant: Assistant) -> Node[Update]:
    """The node. Whoever is in charge stays so, and a flow goes on waiting for its answer."""
    message = assistant.lifecycle.idle_message

    async def remind(state: State) -> Update:
        said = [AIMessage(message)] if message else []
        return {"messages": said, "turn": saying(state["turn"], message)}

    return remind

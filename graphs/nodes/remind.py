"""Remind a silent contact."""

from langchain_core.messages import AIMessage

from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.state import State, Update, add_reply


def make_remind(assistant: Assistant) -> Node[Update]:
    """Return the node. The agent in charge and a waiting flow stay as they are."""
    message = assistant.lifecycle.idle_message

    async def remind(state: State) -> Update:
        said = [AIMessage(message)] if message else []
        return {"messages": said, "turn": add_reply(state["turn"], message)}

    return remind

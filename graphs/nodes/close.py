"""Close the conversation, and ask for a rating."""

from langchain_core.messages import AIMessage

from graphs.answers import rating_in
from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.state import State, Update, changed, saying


def make_close(assistant: Assistant) -> Node[Update]:
    """Return the node. After it a message opens a new conversation, unless a rating is asked for."""
    goodbye, csat = assistant.lifecycle.goodbye, assistant.lifecycle.csat

    async def close(state: State) -> Update:
        turn, asked = state["turn"], state.get("csat")
        if asked == "asked":
            rating, _ = rating_in(turn["said"])
            return {"turn": changed(saying(turn, csat.thanks if csat and rating else None), closed=True, rating=rating)}
        turn = saying(turn, goodbye)
        # Who has gone quiet is not asked.
        if csat is not None and asked is None and turn["event"] == "message":
            return {"messages": [AIMessage(csat.question)], "turn": saying(turn, csat.question), "csat": "asked"}
        return {"turn": changed(turn, closed=True)}

    return close

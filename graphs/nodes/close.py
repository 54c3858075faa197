"""Close the conversation, and ask for a rating."""

from langchain_core.messages import AIMessage

from graphs.answers import rating_in
from graphs.config import Assistant
from graphs.nodes.base import Node
from graphs.state import State, Update, add_reply, replace_turn


def make_close(assistant: Assistant) -> Node[Update]:
    """Return the node. After it a message opens a new conversation, unless a rating is asked for."""
    goodbye, csat = assistant.lifecycle.goodbye, assistant.lifecycle.csat

    async def close(state: State) -> Update:
        turn, asked = state["turn"], state.get("csat")
        if asked == "asked":
            rating, _ = rating_in(turn["said"])
            if rating is None and turn["event"] == "message":
                # Thanks are neither a rating nor a new case. The rating may still come.
                return {"turn": turn}
            thanks = csat.thanks if csat and rating else None
            return {"turn": replace_turn(add_reply(turn, thanks), closed=True, rating=rating)}
        turn = add_reply(turn, goodbye)
        # A contact who is silent is not asked.
        if csat is not None and asked is None and turn["event"] == "message":
            return {"messages": [AIMessage(csat.question)], "turn": add_reply(turn, csat.question), "csat": "asked"}
        return {"turn": replace_turn(turn, closed=True)}

    return close

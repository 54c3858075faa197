"""Return to a flow's question after an agent has answered something else."""

from langchain_core.messages import AIMessage

from graphs.config import Assistant
from graphs.flows import question_of
from graphs.nodes.base import Node
from graphs.state import State, Update, add_reply


def make_ask_again(assistant: Assistant) -> Node[Update]:
    """Return the node. A flow that the version no longer has is left."""

    async def ask_again(state: State) -> Update:
        question = question_of(assistant, state["flow"])
        if question is None:
            return {"flow": None}
        return {"turn": add_reply(state["turn"], question), "messages": [AIMessage(question)]}

    return ask_again

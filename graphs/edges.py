"""Where the graph goes next. Pure functions of the state."""

from typing import Literal

from langchain_core.messages import AIMessage

from graphs.state import State


def after_model(state: State) -> Literal["run_tools", "handoff", "__end__"]:
    """Tools if the model called any, a human if it failed, otherwise its text is the reply."""
    if state["turn"]["handoff"] is not None:
        return "handoff"
    last = state["messages"][-1]
    return "run_tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"


def after_tools(state: State) -> Literal["call_model", "handoff"]:
    """Back to the model, or to a human: because a tool asked for one, or because tools failed too often."""
    return "call_model" if state["turn"]["handoff"] is None else "handoff"

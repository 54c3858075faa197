"""Choose the next node. Pure functions of the state."""

from collections.abc import Callable
from typing import Literal

from langchain_core.messages import AIMessage

from graphs.config import CLOSE, Assistant
from graphs.state import CALL, State
from graphs.tool_calls import needs_approval

AfterModel = Literal["approve", "run_tools", "handoff", "ask_again", "__end__"]


def leg_ended(state: State) -> bool:
    """Return whether the graph stopped before a node that runs tools, which ends a leg, and not at its end."""
    turn = state["turn"]
    return turn["handoff"] is None and (turn["goes_on"] == CALL or _calls(state))


def make_after_model(assistant: Assistant) -> Callable[[State], AfterModel]:
    """Return the edge after a model call: to tools, to an approval or a handoff, or to the end."""

    def after_model(state: State) -> AfterModel:
        if state["turn"]["handoff"] is not None:
            return "handoff"
        last = state["messages"][-1]
        if isinstance(last, AIMessage) and last.tool_calls:
            agent = assistant.agents[str(state["agent"])]
            waits = any(needs_approval(assistant.tools, agent.tools, call) for call in last.tool_calls)
            return "approve" if waits else "run_tools"
        return "ask_again" if state.get("flow") else "__end__"

    return after_model


def make_after_tools(assistant: Assistant) -> Callable[[State], str]:
    """Return the edge after tools: to the model, to a flow that the agent transferred to, or to a handoff."""

    def after_tools(state: State) -> str:
        if state["turn"]["handoff"] is not None:
            return "handoff"
        # A flow that waits while an agent answers a question in between is not where the turn was sent.
        route, flow = state["turn"]["route"], state.get("flow")
        sent_there = flow is not None and route is not None and route["to"] == flow["name"]
        return flow_node(flow["name"]) if flow is not None and sent_there else "call_model"

    return after_tools


def after_flow(state: State) -> Literal["handoff", "close", "call_step", "select_agent", "__end__"]:
    """Choose the node after a flow: a handoff, the close, its tool call, the agent that it names, or none."""
    turn = state["turn"]
    if turn["handoff"] is not None:
        return "handoff"
    if turn["goes_on"] == CLOSE:
        return "close"
    if turn["goes_on"] == CALL:
        return "call_step"
    return "__end__" if turn["goes_on"] is None else "select_agent"


def flow_node(name: str) -> str:
    """Return the name of the node that runs a flow."""
    return f"flow_{name}"


def _calls(state: State) -> bool:
    last = state["messages"][-1] if state["messages"] else None
    return isinstance(last, AIMessage) and bool(last.tool_calls)

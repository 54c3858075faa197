"""Wire the nodes. To add one, write its module in nodes/ and wire it here."""

from collections.abc import Callable
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from graphs.config import Assistant
from graphs.context import Context
from graphs.edges import after_flow, flow_node, make_after_model, make_after_tools
from graphs.flows import compile_flow
from graphs.nodes.approve import make_approve
from graphs.nodes.ask_again import make_ask_again
from graphs.nodes.base import inject_context
from graphs.nodes.call_model import make_call_model
from graphs.nodes.call_step import make_call_step
from graphs.nodes.close import make_close
from graphs.nodes.handoff import make_handoff
from graphs.nodes.recall import make_recall
from graphs.nodes.remind import make_remind
from graphs.nodes.route import make_route
from graphs.nodes.run_tools import make_run_tools
from graphs.nodes.select_agent import select_agent
from graphs.state import State

Graph = CompiledStateGraph[State, Context, State, State]

LEG_ENDS_BEFORE = ["run_tools", "call_step"]
"""A leg is committed before these nodes, which makes the ids of tool calls durable before the tools run."""


def build(assistant: Assistant, *, context: Callable[[], Context] | None = None, **compile_options: Any) -> Graph:
    """Build and compile the assistant's graph. `compile_options` are those of `StateGraph.compile`.

    `context` creates the nodes' context for callers that cannot pass one.
    """
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("recall", make_recall(assistant))
    graph.add_node("route", inject_context(make_route(assistant), context), destinations=_destinations(assistant))
    graph.add_node("select_agent", select_agent)
    graph.add_node("call_model", inject_context(make_call_model(assistant), context))
    graph.add_node("run_tools", inject_context(make_run_tools(assistant), context))
    graph.add_node("call_step", inject_context(make_call_step(assistant), context), destinations=_after_call(assistant))
    graph.add_node("approve", make_approve(assistant))
    graph.add_node("ask_again", make_ask_again(assistant))
    graph.add_node("handoff", make_handoff(assistant))
    graph.add_node("close", make_close(assistant))
    graph.add_node("remind", make_remind(assistant))
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "route")
    graph.add_edge("select_agent", "call_model")
    graph.add_conditional_edges("call_model", make_after_model(assistant))
    graph.add_edge("approve", "run_tools")
    flows = [flow_node(name) for name in assistant.flows]
    graph.add_conditional_edges("run_tools", make_after_tools(assistant), ["call_model", "handoff", *flows])
    graph.add_edge("ask_again", END)
    for name, flow in assistant.flows.items():
        graph.add_node(flow_node(name), compile_flow(flow))
        graph.add_conditional_edges(flow_node(name), after_flow)
    graph.add_edge("close", END)
    graph.add_edge("remind", END)
    return graph.compile(**compile_options)


def _destinations(assistant: Assistant) -> tuple[str, ...]:
    """Return the targets of the router, which Studio draws."""
    return ("select_agent", "handoff", "close", "remind", *(flow_node(name) for name in assistant.flows))


def _after_call(assistant: Assistant) -> tuple[str, ...]:
    """Return the targets of a flow's tool call, which Studio draws."""
    return ("handoff", END, *(flow_node(name) for name in assistant.flows))

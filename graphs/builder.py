"""Wires the nodes. To add one: write its module in nodes/, and wire it here."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.config import Assistant
from graphs.context import Context
from graphs.edges import after_model, after_tools
from graphs.nodes.base import NodeWithRuntime
from graphs.nodes.call_model import make_call_model
from graphs.nodes.close import make_close
from graphs.nodes.handoff import make_handoff
from graphs.nodes.recall import make_recall
from graphs.nodes.route import make_route
from graphs.nodes.run_tools import make_run_tools
from graphs.nodes.select_agent import select_agent
from graphs.state import State

Graph = CompiledStateGraph[State, Context, State, State]

LEG_ENDS_BEFORE = ["run_tools"]
"""A turn is committed before tools run: from then on their calls' ids are durable."""


def leg_ended(state: State) -> bool:
    """Whether the graph stands before its tools, rather than at its end."""
    return bool(state["messages"]) and after_model(state) == "run_tools"


def build(assistant: Assistant, *, context: Callable[[], Context] | None = None, **compile_options: Any) -> Graph:
    """The assistant's graph, compiled with the options of `StateGraph.compile`.

    `context` makes the nodes' context where whoever runs the graph cannot pass one.
    """
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("recall", make_recall(assistant))
    graph.add_node("route", _given(make_route(assistant), context))
    graph.add_node("select_agent", select_agent)
    graph.add_node("call_model", _given(make_call_model(assistant), context))
    graph.add_node("run_tools", _given(make_run_tools(assistant), context))
    graph.add_node("handoff", make_handoff(assistant))
    graph.add_node("close", make_close(assistant))
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "route")
    graph.add_edge("select_agent", "call_model")
    graph.add_conditional_edges("call_model", after_model)
    graph.add_conditional_edges("run_tools", after_tools)
    graph.add_edge("close", END)
    return graph.compile(**compile_options)


def _given[R](node: NodeWithRuntime[R], context: Callable[[], Context] | None) -> NodeWithRuntime[R]:
    if context is None:
        return node

    @wraps(node)
    async def with_context(state: State, *, runtime: Runtime[Context]) -> R:
        return await node(state, runtime=runtime.override(context=context()))

    return with_context

"""Wire the nodes. To add one, write its module in nodes/ and wire it here."""

from collections.abc import Callable
from typing import Any, get_args

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from graphs.config import Assistant
from graphs.context import Context, Functions
from graphs.edges import AfterModel, after_flow, flow_node, make_after_model, make_after_tools
from graphs.flows import compile_flow, make_step
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

EDGES = frozenset({"after_model", "after_tools"})
NODES_WITH_RUNTIME = frozenset({"route", "call_model", "run_tools", "call_step"})
"""The functions that choose an edge, and the nodes that also take the runtime, as the steps of flows do.

Other nodes take the state only.
"""


STEP = "."
"""What stands between a flow and its step in the name of the step's function. No other function's name has it."""

Shape = tuple[tuple[str, tuple[str, ...]], ...]
"""The names of an assistant's flows, each with the names of its steps. Nothing else makes graphs differ."""


def shape_of(assistant: Assistant) -> Shape:
    """Return the shape of the assistant's graph."""
    return tuple((flow.name, tuple(step.name for step in flow.steps)) for flow in assistant.flows.values())


def functions_of(assistant: Assistant, context: Callable[[], Context] | None = None) -> Functions:
    """Return the functions behind the nodes and edges of the assistant's graph.

    `context` creates the nodes' context for callers that cannot pass one.
    """
    return {
        "recall": make_recall(assistant),
        "route": inject_context(make_route(assistant), context),
        "select_agent": select_agent,
        "call_model": inject_context(make_call_model(assistant), context),
        "run_tools": inject_context(make_run_tools(assistant), context),
        "call_step": inject_context(make_call_step(assistant), context),
        "approve": make_approve(assistant),
        "ask_again": make_ask_again(assistant),
        "handoff": make_handoff(assistant),
        "close": make_close(assistant),
        "remind": make_remind(assistant),
        "after_model": make_after_model(assistant),
        "after_tools": make_after_tools(assistant),
        **{
            step_function(flow.name, step.name): inject_context(make_step(flow, step, assistant.timezone), context)
            for flow in assistant.flows.values()
            for step in flow.steps
        },
    }


def build(assistant: Assistant, *, context: Callable[[], Context] | None = None, **compile_options: Any) -> Graph:
    """Build and compile the assistant's graph. `compile_options` are those of `StateGraph.compile`.

    `context` creates the nodes' context for callers that cannot pass one.
    """
    return _wire(shape_of(assistant), functions_of(assistant, context).__getitem__, compile_options)


def build_shared(shape: Shape, **compile_options: Any) -> Graph:
    """Build and compile a graph for all assistants of a shape. Each turn's context brings the assistant's functions.

    Compiling takes a hundred times longer than making the functions, and the result takes ten times the memory.
    """
    return _wire(shape, _from_context, compile_options)


def _wire(shape: Shape, function: Callable[[str], Callable[..., Any]], compile_options: dict[str, Any]) -> Graph:
    """Compile a graph of this shape. `function` returns the function of a node or an edge."""
    flows = [flow_node(name) for name, _ in shape]
    routes = ("select_agent", "handoff", "close", "remind", *flows)
    graph = StateGraph(State, context_schema=Context)
    for name in ("recall", "select_agent", "call_model", "run_tools", "approve", "ask_again", "close", "remind"):
        graph.add_node(name, function(name))
    # Destinations are what Studio draws of nodes that choose the next one.
    graph.add_node("route", function("route"), destinations=routes)
    graph.add_node("call_step", function("call_step"), destinations=("handoff", END, *flows))
    graph.add_node("handoff", function("handoff"), destinations=("route", "close", END))
    graph.add_edge(START, "recall")
    graph.add_edge("recall", "route")
    graph.add_edge("select_agent", "call_model")
    graph.add_conditional_edges("call_model", function("after_model"), list(get_args(AfterModel)))
    graph.add_edge("approve", "run_tools")
    graph.add_conditional_edges("run_tools", function("after_tools"), ["call_model", "handoff", *flows])
    graph.add_edge("ask_again", END)
    for name, steps in shape:
        graph.add_node(flow_node(name), compile_flow({step: function(step_function(name, step)) for step in steps}))
        graph.add_conditional_edges(flow_node(name), after_flow)
    graph.add_edge("close", END)
    graph.add_edge("remind", END)
    return graph.compile(**compile_options)


def _from_context(name: str) -> Callable[..., Any]:
    """Return a function that calls the function of this name in the turn's context."""

    def edge(state: State, runtime: Runtime[Context]) -> Any:
        return runtime.context.functions[name](state)

    async def node(state: State, runtime: Runtime[Context]) -> Any:
        return await runtime.context.functions[name](state)

    async def node_with_runtime(state: State, runtime: Runtime[Context]) -> Any:
        return await runtime.context.functions[name](state, runtime=runtime)

    takes_runtime = name in NODES_WITH_RUNTIME or STEP in name
    return edge if name in EDGES else node_with_runtime if takes_runtime else node


def step_function(flow: str, step: str) -> str:
    """Return the name of the function of a flow's step."""
    return f"{flow_node(flow)}{STEP}{step}"

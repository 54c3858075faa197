"""Make a flow's tool call. A leg is committed before, so the flow's answers are durable."""

from collections.abc import Mapping
from typing import Any

from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command

from graphs.config import Assistant, Flow
from graphs.context import Context
from graphs.edges import flow_node
from graphs.flows import arguments_of, step_after
from graphs.nodes.base import NodeWithRuntime
from graphs.sections import Call
from graphs.state import FlowState, State, TurnState, add_reply, replace_turn
from graphs.tool_calls import CallFailed, perform
from tools.ports import JSON, ToolRunner

CALLS = "calls made"
"""The field that counts a flow's calls. No text can refer to it."""


def make_call_step(assistant: Assistant) -> NodeWithRuntime[Command[str]]:
    """Return the node for the calls of all flows."""

    async def call_step(state: State, runtime: Runtime[Context]) -> Command[str]:
        at, turn = state["flow"], replace_turn(state["turn"], goes_on=None)
        assert at is not None, "the edge into this node asks for a flow"
        flow = assistant.flows[at["name"]]
        call = next(step.does for step in flow.steps if step.name == at["step"])
        assert isinstance(call, Call), "the flow stops here only at a call"
        made = at["fields"].get(CALLS, 0)
        fields = {**at["fields"], CALLS: made + 1}
        try:
            result = await _call_tool(assistant, call, f"{flow.name}-{at['step']}-{made}", state, runtime.context.tools)
        except CallFailed as error:
            if call.on_error is None or error.unknown:
                # The call may have succeeded; continuing could repeat it.
                return _hand_over(f"flow {flow.name}: {call.tool} failed: {error}", add_reply(turn, assistant.apology))
            return _continue_at(flow, call.on_error, {**at, "fields": {**fields, "error": str(error)}}, turn)
        kept = {call.into: result} if call.into else {}
        return _continue_at(flow, step_after(flow, at["step"]), {**at, "fields": {**fields, **kept}}, turn)

    return call_step


async def _call_tool(assistant: Assistant, call: Call, call_id: str, state: State, runner: ToolRunner) -> JSON:
    tool, at = assistant.tools[call.tool], state["flow"]
    assert at is not None, "the edge into this node asks for a flow"
    arguments = arguments_of(call, tool.parameters, at["fields"])
    result = await perform(tool, call_id, arguments, runner, verified=state.get("verified"))
    if isinstance(result, Mapping) and (refused := result.get("error")) is not None:
        # A model can read a refusal as a result. In a flow nobody reads it, so it is a failure.
        raise CallFailed(str(refused))
    return result


def _continue_at(flow: Flow, to: str | None, at: FlowState, turn: TurnState) -> Command[Any]:
    if to is None:
        return Command(goto=END, update={"turn": turn, "flow": None})
    return Command(goto=flow_node(flow.name), update={"turn": turn, "flow": {**at, "step": to, "tries": -1}})


def _hand_over(reason: str, turn: TurnState) -> Command[Any]:
    return Command(goto="handoff", update={"turn": replace_turn(turn, handoff=reason), "flow": None})
